//! The runtime's helpers on the kernel that they stand for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use crate::guest::{Log, Patch, wait};

crate::tests![
    locks_keep_processes_apart,
    locks_are_handed_on_to_the_next_patch,
    work_is_done_cancelled_and_stopped,
    files_of_sysfs_show_the_current_task,
    raw_shadow_variables,
];

/// Tests that are others where there are two processors.
pub(crate) fn on_two_processors() -> Vec<crate::Test> {
    vec![
        ("locks_keep_processors_apart", locks_keep_processes_apart),
        ("locks_are_handed_on_between_processors", locks_are_handed_on_to_the_next_patch),
        ("a_lock_that_one_module_makes_another_waits_for", a_lock_that_one_module_makes_another_waits_for),
    ]
}

/// The modules of these.
pub(crate) const ON_TWO_PROCESSORS: [Patch; 5] = [PRIMITIVES, COUNTS, COUNTS_NEXT, LOCK1, LOCK2];

pub(crate) const PRIMITIVES: Patch = Patch("primitives");
const COUNTS: Patch = Patch("counts");
const COUNTS_NEXT: Patch = Patch("counts_next");
const LOCK1: Patch = Patch("lock1");
const LOCK2: Patch = Patch("lock2");
pub(crate) const DIRECTORY: &str = "/sys/kernel/klp_test_primitives";
const KEPT: &str = "/sys/kernel/klp_test_primitives_kept";

fn read(file: &str) -> String {
    fs::read_to_string(format!("{DIRECTORY}/{file}")).unwrap()
}

fn locks_keep_processes_apart() {
    const PROCESSES: usize = 6;
    const CALLS: usize = 20;
    PRIMITIVES.enable();
    let files = ["/proc/version"; CALLS];
    let readers: Vec<_> = (0..PROCESSES)
        .map(|_| Command::new("cat").args(files).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let (mut counts, mut callers) = (Vec::new(), BTreeMap::new());
    for reader in readers {
        callers.insert(reader.id().to_string(), CALLS.to_string());
        let output = reader.wait_with_output().unwrap();
        assert!(output.status.success());
        counts.extend(
            String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse::<usize>().unwrap()),
        );
    }
    counts.sort_unstable();
    assert_eq!(counts, Vec::from_iter(1..=PROCESSES * CALLS), "each call has a number of its own");
    let listed = read("callers");
    let listed: BTreeMap<_, _> =
        listed.lines().map(|line| line.split_once(' ').unwrap()).map(|(k, v)| (k.into(), v.into())).collect();
    assert_eq!(listed, callers);
    assert_eq!(read("adds"), format!("{}\n", PROCESSES * CALLS), "each call adds as often");
    PRIMITIVES.end();
}

/// S10: a lock and a count that are data of a state keep the functions of both patches apart while the one
/// replaces the other, and outlive the first one's module.
fn locks_are_handed_on_to_the_next_patch() {
    const PROCESSES: usize = 4;
    const CALLS: usize = 60;
    let (first, next) = (COUNTS, COUNTS_NEXT);
    first.enable();
    let readers: Vec<_> = (0..PROCESSES)
        .map(|_| Command::new("cat").args(["/proc/version"; CALLS]).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    next.enable();
    first.gone();
    first.remove();
    let mut counts = Vec::new();
    for reader in readers {
        let output = reader.wait_with_output().unwrap();
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).unwrap();
        counts.extend(lines.lines().map(|line| line.parse::<usize>().unwrap()));
    }
    counts.sort_unstable();
    assert_eq!(counts, Vec::from_iter(1..=PROCESSES * CALLS), "each call has a number of its own");
    let last = PROCESSES * CALLS + 1;
    assert_eq!(fs::read_to_string("/proc/version").unwrap(), format!("{last}\n"));
    next.end();
}

/// A lock in the data of a state is made by the module that uses it first; one that uses it at the same time
/// must see that it is being made. That lasts too short a time to be met: a file of the patches marks the lock.
fn a_lock_that_one_module_makes_another_waits_for() {
    let (one, other) = (LOCK1, LOCK2);
    let file = |patch: u32, name: &str| format!("/sys/kernel/klp-test-lock{patch}/{name}");
    one.enable();
    other.enable();
    fs::write(file(1, "mark"), "making").unwrap();
    let user = thread::spawn(move || fs::read_to_string(file(2, "use")).unwrap());
    thread::sleep(Duration::from_millis(300));
    assert!(!user.is_finished(), "it has not waited");
    fs::write(file(1, "mark"), "fresh").unwrap();
    assert_eq!(user.join().unwrap(), "1\n");
    assert_eq!(fs::read_to_string(file(1, "use")).unwrap(), "2\n");
    other.end();
    one.end();
}

fn work_is_done_cancelled_and_stopped() {
    let order =
        |order: &str| fs::write(format!("{DIRECTORY}/work"), order).map_err(|error| error.raw_os_error());
    let done = || read("work").trim().parse::<u64>().unwrap();
    let mut log = Log::new();
    PRIMITIVES.enable();
    assert_eq!(order("something"), Err(Some(Errno::NOENT.raw_os_error())));
    assert_eq!(order("cancel"), Err(Some(Errno::BUSY.raw_os_error())), "never scheduled");
    assert_eq!(done(), 0);

    order("now").unwrap();
    wait(|| done() == 1, || "the work is not done".into());
    order("later").unwrap();
    assert_eq!(order("now"), Err(Some(Errno::BUSY.raw_os_error())), "it waits");
    order("cancel\n").unwrap();
    assert_eq!(done(), 1);

    order("itself").unwrap();
    wait(|| done() == 2, || "the work waits for itself".into());
    order("drop").unwrap();
    assert_eq!(done(), 2, "the directory stays: its own function has dropped it");

    // S17: what the patch does not cancel itself is stopped before its post_unpatch.
    order("later").unwrap();
    order("again").unwrap();
    wait(|| done() > 10, || "the work is not done again".into());
    let ticks = read("ticks");
    assert_eq!(ticks, "250 true\n", "CONFIG_HZ is 250");
    PRIMITIVES.end();
    assert!(log.of_patches().contains(&"primitives.waiting: false".into()));

    // Nor may it be called where a patch was never loaded: it would be with this one.
    PRIMITIVES.enable();
    assert_eq!(done(), 0);
    PRIMITIVES.end();
}

fn files_of_sysfs_show_the_current_task() {
    let mode = |file: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(format!("{DIRECTORY}/{file}")).unwrap().permissions().mode() & 0o777
    };
    PRIMITIVES.enable();
    assert_eq!((mode("current"), mode("work")), (0o444, 0o644));
    // sysfs would complain of a byte more, and cut it.
    assert_eq!(read("longest").len(), 4095);
    let too_much = fs::read(format!("{DIRECTORY}/too_much")).unwrap_err();
    assert_eq!(too_much.raw_os_error(), Some(Errno::FBIG.raw_os_error()));

    let (process, comm) =
        (std::process::id(), |path: &str| fs::read_to_string(path).unwrap().trim().to_owned());
    thread::spawn(move || {
        let task = fs::read_link("/proc/thread-self").unwrap();
        let thread = task.file_name().unwrap().to_str().unwrap();
        let name = comm("/proc/thread-self/comm");
        let shown = format!("({thread}, {process}, {thread}, {process}) {name} false false\n");
        assert_eq!(read("current"), shown);
    })
    .join()
    .unwrap();
    let leader =
        Command::new("cat").arg(format!("{DIRECTORY}/current")).stdout(Stdio::piped()).spawn().unwrap();
    let id = leader.id();
    let shown = leader.wait_with_output().unwrap().stdout;
    assert_eq!(String::from_utf8_lossy(&shown), format!("({id}, {id}, {id}, {id}) cat true false\n"));

    // One that has the file open reads no more once it is gone; what the patch keeps goes with it, too (S17).
    let held = fs::File::open(format!("{KEPT}/current")).unwrap();
    PRIMITIVES.disable();
    assert!(!Path::new(DIRECTORY).exists());
    assert!(!Path::new(KEPT).exists());
    PRIMITIVES.remove();
    assert_eq!(std::io::read_to_string(&held).unwrap_err().raw_os_error(), Some(Errno::NODEV.raw_os_error()));
}

fn raw_shadow_variables() {
    let mut log = Log::new();
    PRIMITIVES.enable();
    assert_eq!(
        log.of_patches(),
        [
            "primitives.zeroed: true",
            "primitives.added 11",
            "primitives.zeroed: true",
            "primitives.added 12",
            "primitives.zeroed: true",
            "primitives.added 21",
            "primitives.a second one: Some(EEXIST)",
            "primitives.found 12",
            "primitives.a constructor that fails: Some(ENODEV), none there: true",
            "primitives.destroyed 0x1000 11",
            "primitives.gone: true, there: true",
        ]
    );
    PRIMITIVES.end();
    assert_eq!(
        log.of_patches(),
        [
            "primitives.waiting: false",
            "primitives.no caller is left: true",
            "primitives.destroyed 0x2000 21",
            "primitives.in the order [1000, 2000]",
            "primitives.all gone: true",
        ]
    );
}
