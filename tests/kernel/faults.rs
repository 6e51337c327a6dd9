//! What goes wrong: transitions that are held up, calls that fail, modules that come and go meanwhile.

use std::fs;

use rustix::io::Errno;

use crate::guest::{Log, Patch};
use crate::objects::{MARKS, MARKS_REPLACES, TARGET, dropped, looks};
use crate::sleeper::Sleeper;
use crate::{checkers, memory};

crate::tests![
    reversed_both_ways_and_finished,
    signals_end_a_transition,
    a_module_comes_and_goes_while_enabling,
    a_module_comes_and_goes_while_disabling,
    a_module_is_there_when_an_enable_is_reversed,
    shadow_variables_of_a_failed_pre_patch,
    each_allocation_fails,
    cycles_leave_no_memory_in_use,
    a_leak_of_memory_would_be_seen,
];

const A1: Patch = Patch("a1");
const B2_SLEEPS: Patch = Patch("b2_sleeps");
const B2_STALLS: Patch = Patch("b2_stalls");
const NOTHING: [&str; 0] = [];

/// Starts a task that sleeps in the kernel's own function.
fn sleeper_in_old(name: &str) -> Sleeper {
    Sleeper::opening_a_fifo(name, "fifo_open")
}

/// Starts a task that sleeps in the function that a patch has in its place.
fn sleeper_in_new(name: &str) -> Sleeper {
    Sleeper::opening_a_fifo(name, "msleep_interruptible")
}

fn reversed_both_ways_and_finished() {
    let mut log = Log::new();
    A1.enable();
    log.lines();

    let old = sleeper_in_old("enable-old");
    B2_SLEEPS.insert().unwrap();
    let new = sleeper_in_new("enable-new");
    assert_eq!(log.callbacks(), ["b2_sleeps.pre_patch 2", "a1.pre_unpatch 1"]);
    for enabled in [false, true, false, true] {
        B2_SLEEPS.set_enabled(enabled);
        assert!(B2_SLEEPS.in_transition(), "held up both ways");
    }
    assert_eq!(log.callbacks(), NOTHING);
    drop(old);
    B2_SLEEPS.settle();
    A1.gone();
    assert_eq!(log.callbacks(), ["a1.post_unpatch 1", "b2_sleeps.post_patch 2"]);
    A1.remove();

    B2_SLEEPS.set_enabled(false);
    let old = sleeper_in_old("disable-old");
    assert_eq!(log.callbacks(), ["b2_sleeps.pre_unpatch 2"]);
    for enabled in [true, false, true, false] {
        B2_SLEEPS.set_enabled(enabled);
        assert!(B2_SLEEPS.in_transition(), "held up both ways");
    }
    assert_eq!(log.callbacks(), NOTHING);
    drop(new);
    B2_SLEEPS.gone();
    assert_eq!(log.callbacks(), ["b2_sleeps.post_unpatch 2"]);
    drop(old);
    B2_SLEEPS.remove();
}

fn signals_end_a_transition() {
    let mut log = Log::new();
    A1.enable();
    let sleeper = sleeper_in_old("signals");
    B2_STALLS.insert().unwrap();
    assert!(B2_STALLS.in_transition());
    // The kernel waits for fifteen seconds before it wakes the task, which then opens the FIFO anew.
    B2_STALLS.settle();
    assert_eq!(sleeper.ends_by_itself(), Some(1), "the new function fails");
    let lines = log.lines();
    assert!(lines.iter().any(|line| line.contains("signaling remaining tasks")), "{lines:#?}");
    let order =
        ["b2_stalls: pre_patch 2", "a1: pre_unpatch 1", "a1: post_unpatch 1", "b2_stalls: post_patch 2"];
    let mut rest = lines.iter();
    for callback in order {
        assert!(rest.any(|line| line.contains(callback)), "{callback} is not where it belongs: {lines:#?}");
    }
    A1.gone();
    A1.remove();
    B2_STALLS.end();
}

fn a_module_comes_and_goes_while_enabling() {
    let mut log = Log::new();
    let old = sleeper_in_old("coming");
    MARKS.insert().unwrap();
    assert_eq!(log.callbacks(), ["marks.pre_patch 5"]);
    for _ in 0..2 {
        TARGET.insert().unwrap();
        // This task has been switched, the one that sleeps has not.
        assert_eq!((looks(), looks()), ("1 1 1".into(), "2 2 2".into()));
        TARGET.remove();
        assert_eq!(log.callbacks(), dropped("marks", 2));
    }
    TARGET.insert().unwrap();
    assert_eq!(looks(), "1 1 1");
    assert!(MARKS.in_transition());
    drop(old);
    MARKS.settle();
    assert_eq!(log.callbacks(), ["marks.post_patch 5"]);
    assert_eq!(looks(), "2 2 2");
    TARGET.remove();
    assert_eq!(log.callbacks(), dropped("marks", 2));
    MARKS.end();
    assert_eq!(log.callbacks(), ["marks.pre_unpatch 5", "marks.post_unpatch 5"]);
}

fn a_module_comes_and_goes_while_disabling() {
    let mut log = Log::new();
    TARGET.insert().unwrap();
    MARKS.enable();
    assert_eq!(looks(), "1 1 1");
    let new = sleeper_in_new("going");
    MARKS.set_enabled(false);
    assert_eq!(looks(), "0 0 0", "this task has been switched");
    assert_eq!(log.callbacks(), ["marks.pre_patch 5", "marks.post_patch 5", "marks.pre_unpatch 5"]);
    TARGET.remove();
    assert_eq!(log.callbacks(), dropped("marks", 1));
    for _ in 0..2 {
        TARGET.insert().unwrap();
        assert_eq!(looks(), "0 0 0");
        TARGET.remove();
    }
    TARGET.insert().unwrap();
    assert!(MARKS.in_transition());
    drop(new);
    MARKS.gone();
    assert_eq!(log.callbacks(), ["marks.post_unpatch 5"]);
    TARGET.remove();
    MARKS.remove();
    assert_eq!(log.callbacks(), NOTHING);
}

fn a_module_is_there_when_an_enable_is_reversed() {
    let mut log = Log::new();
    let old = sleeper_in_old("reversed");
    MARKS.insert().unwrap();
    TARGET.insert().unwrap();
    assert_eq!(looks(), "1 1 1");
    log.lines();
    MARKS.disable();
    assert_eq!(log.callbacks(), [vec!["marks.post_unpatch 5".into()], dropped("marks", 1)].concat());
    assert_eq!(looks(), "0 0 0");
    drop(old);
    TARGET.remove();
    MARKS.remove();
    assert_eq!(log.callbacks(), NOTHING);
}

fn shadow_variables_of_a_failed_pre_patch() {
    let mut log = Log::new();
    Patch("shadows_fail").refused(Errno::NOSPC);
    assert_eq!(
        log.callbacks(),
        [
            "shadows_fail.pre_patch 1",
            "shadows_fail.pre_patch 6",
            "shadows_fail.refused: state Half",
            "shadows_fail.dropped plain 1",
            "shadows_fail.dropped sleepy 2",
            "shadows_fail.post_unpatch 1",
        ]
    );
}

/// Makes allocations of this process fail.
struct NoMemory;

impl NoMemory {
    const MODULE: Patch = Patch("nomem");

    fn new() -> Self {
        Self::MODULE.insert().unwrap();
        Self::set("pid", &std::process::id().to_string());
        Self
    }

    fn set(parameter: &str, value: &str) {
        fs::write(format!("/sys/module/klp_test_nomem/parameters/{parameter}"), value).unwrap();
    }

    /// Does something with its `nth` allocation failing; whether it had so many.
    fn at(nth: usize, what: impl FnOnce()) -> bool {
        Self::set("nth", &nth.to_string());
        what();
        let left = fs::read_to_string("/sys/module/klp_test_nomem/parameters/nth").unwrap();
        Self::set("nth", "0");
        left.trim() == "0"
    }
}

impl Drop for NoMemory {
    fn drop(&mut self) {
        Self::MODULE.remove();
    }
}

fn each_allocation_fails() {
    let mut log = Log::new();
    let _no_memory = NoMemory::new();

    // Loading a patch: the kernel's notes, the names of its objects, the kernel's structures, the list, the claims,
    // room for the live state, that state and its data.
    let mut result = Err(Errno::NOMEM);
    let failed = (1..20)
        .take_while(|&nth| {
            let reached = NoMemory::at(nth, || result = MARKS.insert());
            assert_eq!(result, if reached { Err(Errno::NOMEM) } else { Ok(()) }, "allocation {nth}");
            assert!(reached || MARKS.is_loaded());
            if reached {
                assert_eq!(log.callbacks(), NOTHING, "allocation {nth} is before any callback");
            }
            reached
        })
        .count();
    assert_eq!(failed, 8);
    MARKS.settle();
    assert_eq!(log.callbacks(), ["marks.pre_patch 5", "marks.post_patch 5"]);

    // Replacing it, where the list and the state are there: the notes, the names, the structures and the claims.
    let failed = (1..20)
        .take_while(|&nth| {
            let reached = NoMemory::at(nth, || result = MARKS_REPLACES.insert());
            assert_eq!(result, if reached { Err(Errno::NOMEM) } else { Ok(()) }, "allocation {nth}");
            reached
        })
        .count();
    assert_eq!(failed, 4);
    MARKS_REPLACES.settle();
    MARKS.gone();
    MARKS.remove();
    assert_eq!(log.callbacks(), NOTHING);

    // The variables of the first thing: what the store allocates for the one, and for the sleepable one its
    // box and what the store allocates. What is there already is not allocated again.
    TARGET.insert().unwrap();
    log.lines();
    let rounds = [
        (1, true, "-12 1 1"),
        (2, true, "-12 2 2"),
        (2, true, "-12 3 3"),
        (3, false, "1 4 4"),
        (1, false, "2 5 5"),
    ];
    for (nth, fails, expected) in rounds {
        let mut seen = String::new();
        let reached = NoMemory::at(nth, || seen = looks());
        assert_eq!((seen.as_str(), reached), (expected, fails));
    }
    let [mark, sleepy] = ["marks_replaces.dropped mark 0", "marks_replaces.dropped sleepy mark 0"];
    assert_eq!(log.callbacks(), [mark, sleepy, sleepy], "those that found no place");
    MARKS_REPLACES.end();
    TARGET.remove();
}

/// The modules of [`cycle`].
pub(crate) const CYCLE: [Patch; 3] = [TARGET, MARKS, MARKS_REPLACES];

/// Two patches, one replacing the other, on a module that comes and goes.
pub(crate) fn cycle() {
    MARKS.enable();
    TARGET.insert().unwrap();
    assert_eq!(looks(), "1 1 1");
    MARKS_REPLACES.enable();
    assert_eq!(looks(), "2 2 2");
    MARKS.gone();
    MARKS.remove();
    TARGET.remove();
    TARGET.insert().unwrap();
    assert_eq!(looks(), "1 1 1");
    MARKS_REPLACES.end();
    TARGET.remove();
}

fn cycles_leave_no_memory_in_use() {
    assert_eq!(memory::growth(20, cycle), NOTHING);
}

fn a_leak_of_memory_would_be_seen() {
    const LEAKS: Patch = Patch("leaks");
    let mut grown = Vec::new();
    checkers::leaking(|| {
        grown = memory::growth(20, || {
            LEAKS.enable();
            LEAKS.end();
        });
    });
    assert!(grown.iter().any(|cache| cache.starts_with("kmalloc-96: ")), "{grown:?}");
}
