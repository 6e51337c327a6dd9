//! The kernel's own fault injection, which the debug kernel has: the nth allocation of a task fails.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::objects::{MARKS, MARKS_REPLACES, TARGET, looks};
use crate::{checkers, guest};

// Before the other tests of its boot: no checker has reported anything yet.
crate::tests![each_allocation_of_a_load_fails];

/// What counts the allocations of this task down.
const NTH: &str = "/proc/thread-self/fail-nth";
const SETTINGS: &str = "/sys/kernel/debug/failslab";

/// S3, S7, S16: each allocation on the way of a patch into the kernel fails once, those of the module loader, of
/// ftrace and of sysfs too. Either the patch is refused and all is as before, or it works.
///
/// The kernel tells of memory that `vmalloc` did not get, with a trace. Where it has none to take a function of the
/// replaced patch out of ftrace's hash, it warns, and leaves the hash behind.
fn each_allocation_of_a_load_fails() {
    guest::run_excusing(fail_each, |line| {
        line.contains("Call Trace") || line.contains("WARNING:") && line.contains("__klp_unpatch_object")
    });
    checkers::forget_leaks("ftrace_set_filter_ip");
}

fn fail_each() {
    let allocations = Allocations::new();
    // Those that may sleep fail too, and none is told of in the log.
    for (setting, value) in [("ignore-gfp-wait", "N"), ("verbose", "0")] {
        fs::write(Path::new(SETTINGS).join(setting), value).unwrap();
    }
    TARGET.insert().unwrap();
    MARKS.enable();
    let next = MARKS_REPLACES.open();
    let (mut refused, mut enabled) = (0, 0);
    for nth in 1.. {
        let (result, is_over) = allocations.failing(nth, || guest::load(&next, c""));
        match result {
            Ok(()) => {
                enabled += 1;
                MARKS_REPLACES.settle();
                MARKS.gone();
                MARKS.remove();
                assert_ne!(looks(), "0 0 0");
                MARKS_REPLACES.end();
                MARKS.enable();
            }
            Err(_) => {
                refused += 1;
                assert!(!MARKS_REPLACES.is_loaded());
                assert_ne!(looks(), "0 0 0", "the patch that was there works");
            }
        }
        if is_over {
            break;
        }
    }
    MARKS.end();
    TARGET.remove();
    println!("of {} allocations, {refused} refused the patch", refused + enabled - 1);
    assert!(refused > 10, "{refused} {enabled}");
}

/// The allocations of this task. The file that counts them down is open: to open one is to allocate.
struct Allocations(fs::File);

impl Allocations {
    fn new() -> Self {
        let file = fs::File::options().read(true).write(true).open(NTH);
        Self(file.expect("the kernel has fault injection"))
    }

    /// Does something while the `nth` allocation fails; its result, and whether there were fewer.
    fn failing<T>(&self, nth: u32, work: impl FnOnce() -> T) -> (T, bool) {
        let nth = nth.to_string();
        let mut left = [0];
        self.0.write_all_at(nth.as_bytes(), 0).unwrap();
        let result = work();
        self.0.read_exact_at(&mut left, 0).unwrap();
        self.0.write_all_at(b"0", 0).unwrap();
        (result, left != *b"0")
    }
}
