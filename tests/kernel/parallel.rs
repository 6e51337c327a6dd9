//! Patches that come and go in several processes at once, on several processors.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::guest::{BOOT, Log, Patch, wait};
use crate::objects::{MARKS, MARKS_REPLACES, TARGET, looks};
use crate::primitives::{DIRECTORY, PRIMITIVES};

crate::tests![
    patches_come_and_go_in_parallel,
    shadow_variables_are_used_while_patches_come_and_go,
    locks_are_used_for_the_first_time_by_several_tasks,
    files_and_work_are_used_while_their_patch_goes,
];

/// What a worker is started with, beside its patch.
const ROUNDS: u32 = 5;

/// The modules that come and go. Three provide state 1, two state 5; two replace what they find.
pub(crate) const MODULES: [Patch; 7] =
    [Patch("a1"), Patch("b1"), Patch("c1_replaces"), MARKS, MARKS_REPLACES, Patch("a12"), TARGET];

fn patches_come_and_go_in_parallel() {
    let mut log = Log::new();
    let mut workers: Vec<_> = MODULES.iter().map(|module| (module.0, worker(module.0))).collect();
    let (mut callbacks, mut busy) = (Vec::new(), true);
    let start = Instant::now();
    while busy {
        assert!(start.elapsed() < Duration::from_secs(300), "workers do not end: {callbacks:#?}");
        busy = workers.iter_mut().any(|(_, worker)| worker.try_wait().unwrap().is_none());
        // Often, before the kernel overwrites what it has logged.
        callbacks.extend(log.callbacks());
        thread::sleep(Duration::from_millis(10));
    }
    callbacks.extend(log.callbacks());
    for (name, mut worker) in workers {
        assert!(worker.wait().unwrap().success(), "the worker of {name}");
    }
    assert_symmetric(&callbacks);
}

/// Starts a process that has one module come and go.
fn worker(module: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(module).env(BOOT, "worker").spawn().unwrap()
}

/// The main function of such a process.
pub(crate) fn work() -> ExitCode {
    let name = std::env::args().nth(1).expect("the module's name");
    let patch = *MODULES.iter().find(|module| module.0 == name).expect("one of the modules");
    for _ in 0..ROUNDS {
        wait(|| come(patch), || format!("{name} can't be loaded"));
        wait(|| go(patch), || format!("{name} does not go"));
        patch.remove();
    }
    ExitCode::SUCCESS
}

/// Tries to load a module: while another patch is in transition the kernel loads none.
fn come(patch: Patch) -> bool {
    match patch.insert() {
        Ok(()) => true,
        Err(Errno::BUSY) => false,
        Err(error) => panic!("insmod {}: {error}", patch.0),
    }
}

/// Tries to disable a patch, in vain while another one is in transition; whether the kernel knows it no more.
fn go(patch: Patch) -> bool {
    let enabled = Path::new("/sys/kernel/livepatch").join(patch.module()).join("enabled");
    // Its own transition, either way, is left to end.
    if !patch.in_transition() {
        let _ = fs::write(&enabled, "0");
    }
    !enabled.exists()
}

/// S11: what was called for each state, by whichever patches.
fn assert_symmetric(callbacks: &[String]) {
    let mut last = BTreeMap::new();
    for callback in callbacks {
        let (call, state) = callback.split_once('.').and_then(|(_, call)| call.split_once(' ')).unwrap();
        if call == "dropped" {
            continue;
        }
        let before = last.insert(state, call).unwrap_or("post_unpatch");
        let fits = matches!(
            (before, call),
            ("post_unpatch", "pre_patch")
                | ("pre_patch", "post_patch" | "post_unpatch")
                | ("post_patch", "pre_unpatch")
                | ("pre_unpatch", "post_patch" | "post_unpatch")
        );
        assert!(fits, "{call} of state {state} after {before}: {callbacks:#?}");
    }
    assert_eq!(last.keys().copied().collect::<Vec<_>>(), ["1", "2", "5"]);
    assert!(last.values().all(|last| *last == "post_unpatch"), "{last:?}");
}

/// S9, S18: each use of a shadow variable, by old and new functions at once, counts in the one that is freed in
/// the end: none is made twice, none outlives the state, none is used after its end.
fn shadow_variables_are_used_while_patches_come_and_go() {
    let mut log = Log::new();
    let uses = AtomicU64::new(0);
    TARGET.insert().unwrap();
    meanwhile(
        3,
        || {
            let looks = looks();
            let numbers = looks.split(' ').map(|number| number.parse::<i64>().unwrap());
            let (used, unused): (Vec<_>, Vec<_>) = numbers.partition(|number| *number != 0);
            assert!(used.iter().all(|number| *number > 0), "an error: {looks}");
            assert_eq!(used.len() + unused.len(), 3);
            uses.fetch_add(used.len() as u64, Ordering::Relaxed);
        },
        || {
            for _ in 0..3 {
                MARKS.enable();
                MARKS_REPLACES.enable();
                MARKS.gone();
                MARKS.remove();
                MARKS_REPLACES.end();
            }
        },
    );
    TARGET.remove();
    let (lines, uses) = (log.of_patches(), uses.into_inner());
    for kind in [".dropped mark ", ".dropped sleepy mark "] {
        let counts = lines.iter().filter_map(|line| line.split_once(kind)?.1.parse::<u64>().ok());
        assert_eq!(counts.sum::<u64>(), uses, "{lines:#?}");
    }
    println!("{uses} uses of shadow variables during nine transitions");
}

/// A lock in a static is made into the kernel's when it is taken for the first time: by several at once.
fn locks_are_used_for_the_first_time_by_several_tasks() {
    const TASKS: usize = 4;
    for _ in 0..5 {
        PRIMITIVES.enable();
        let start = Arc::new(Barrier::new(TASKS));
        let readers = [(); TASKS].map(|()| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                fs::read_to_string("/proc/version").unwrap().trim().parse::<usize>().unwrap()
            })
        });
        let mut numbers = readers.map(|reader| reader.join().unwrap());
        numbers.sort_unstable();
        assert_eq!(Vec::from(numbers), Vec::from_iter(1..=TASKS), "each call has a number of its own");
        PRIMITIVES.end();
    }
}

/// S17: files are read, and work is scheduled through them, until the patch has stopped both; the module goes at
/// once, with all that ran there.
fn files_and_work_are_used_while_their_patch_goes() {
    let orders = ["now", "later", "again", "cancel", "stop"];
    let (next, reached) = (AtomicU64::new(0), AtomicU64::new(0));
    let count = |result: bool| reached.fetch_add(result.into(), Ordering::Relaxed);
    meanwhile(
        3,
        || {
            // Each may fail: there is no file, the work waits already, or the patch is on its way.
            let order = orders[next.fetch_add(1, Ordering::Relaxed) as usize % orders.len()];
            count(fs::write(format!("{DIRECTORY}/work"), order).is_ok());
            count(fs::read(format!("{DIRECTORY}/current")).is_ok());
            count(fs::read(format!("{DIRECTORY}/callers")).is_ok());
        },
        || {
            for _ in 0..5 {
                PRIMITIVES.enable();
                PRIMITIVES.end();
            }
        },
    );
    let reached = reached.into_inner();
    println!("of {} uses of files, {reached} reached the patch", 3 * next.into_inner());
    assert_ne!(reached, 0);
}

/// Does something again and again in several tasks, until `work` is done.
fn meanwhile(tasks: usize, again: impl Fn() + Sync, work: impl FnOnce()) {
    /// Says so however the work ends.
    struct Over<'a>(&'a AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }

    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..tasks {
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    again();
                    // Where all processors are busy for good, each transition takes the kernel minutes under emulation.
                    thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let _over = Over(&is_over);
        work();
    });
}
