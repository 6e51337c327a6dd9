//! Patches that come and go in several processes at once, on several processors.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::guest::{BOOT, Log, Patch, wait};

crate::tests![patches_come_and_go_in_parallel];

/// What a worker is started with, beside its patch.
const ROUNDS: u32 = 5;

/// The modules that come and go. Three provide state 1, two state 5; two replace what they find.
const MODULES: [&str; 7] = ["a1", "b1", "c1_replaces", "marks", "marks_replaces", "a12", "target"];

fn patches_come_and_go_in_parallel() {
    let mut log = Log::new();
    let mut workers: Vec<_> = MODULES.iter().map(|name| (name, worker(name))).collect();
    let (mut callbacks, mut busy) = (Vec::new(), true);
    let start = Instant::now();
    while busy {
        assert!(start.elapsed() < Duration::from_secs(300), "workers do not end: {callbacks:#?}");
        busy = workers.iter_mut().any(|(_, worker)| worker.try_wait().unwrap().is_none());
        // Often, before the kernel overwrites what it has logged.
        callbacks.extend(log.callbacks());
        std::thread::sleep(Duration::from_millis(10));
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
    let patch = Patch(MODULES.iter().find(|module| **module == name).expect("one of the modules"));
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
        let _ = std::fs::write(&enabled, "0");
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
