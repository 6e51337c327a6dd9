//! Tests after which the kernel is no longer sound: in a boot of their own.

use std::fs;
use std::process::Command;

use rustix::io::Errno;

use crate::guest::{Log, Patch, is_complaint, wait};
use crate::sleeper::Sleeper;

// The module that a transition was forced off stays loaded.
crate::tests![a_transition_is_forced, l24_forced, a_warning_and_a_panic_have_their_location];

/// S21: what a patch that was forced off says.
const STAYS: &str = "forced: what its states had stays in memory";

fn a_transition_is_forced() {
    const A1: Patch = Patch("a1");
    const B1: Patch = Patch("b1");
    const B2_STALLS: Patch = Patch("b2_stalls");
    let (mut log, mut all) = (Log::new(), Log::new());
    A1.enable();
    let sleeper = Sleeper::opening_a_fifo("force", "fifo_open");
    B2_STALLS.insert().unwrap();
    assert_eq!(
        log.callbacks(),
        ["a1.pre_patch 1", "a1.post_patch 1", "b2_stalls.pre_patch 2", "a1.pre_unpatch 1"]
    );
    assert!(B2_STALLS.in_transition());
    B2_STALLS.force();
    B2_STALLS.settle();
    A1.gone();
    assert_eq!(log.callbacks(), ["a1.post_unpatch 1", "b2_stalls.post_patch 2", &format!("a1.{STAYS}")]);
    assert_eq!(A1.try_remove(), Err(Errno::AGAIN), "pinned: a task may still run its code");
    drop(sleeper);

    // The states are as after any other transition: both go, and come again.
    B2_STALLS.disable();
    assert_eq!(log.callbacks(), ["b2_stalls.pre_unpatch 2", "b2_stalls.post_unpatch 2"]);
    // Only what was forced off: the new patch left in the ordinary way.
    B2_STALLS.remove();
    assert_eq!(A1.try_remove(), Err(Errno::AGAIN), "pinned");
    B1.enable();
    B1.end();
    assert_eq!(
        log.callbacks(),
        ["b1.pre_patch 1", "b1.post_patch 1", "b1.pre_unpatch 1", "b1.post_unpatch 1"]
    );
    let lines = all.lines();
    assert!(!lines.iter().any(|line| is_complaint(line)), "{lines:#?}");
}

fn l24_forced() {
    const A: Patch = Patch("a1_sleeps_in_data");
    let (mut log, mut all) = (Log::new(), Log::new());
    A.enable();
    let sleeper = Sleeper::opening_a_fifo("l24", "msleep_interruptible");
    A.set_enabled(false);
    assert!(A.in_transition());
    let calls = ["pre_patch", "post_patch", "pre_unpatch"].map(|call| format!("a1_sleeps_in_data.{call} 1"));
    assert_eq!(log.callbacks(), calls);
    A.force();
    A.gone();
    let ends = ["post_unpatch 1", STAYS].map(|line| format!("a1_sleeps_in_data.{line}"));
    assert_eq!(log.callbacks(), ends);
    drop(sleeper);
    // Dropped, they would be damaged.
    let has_data = "a1_sleeps_in_data.the task has data made by klp_test_a1_sleeps_in_data";
    wait(
        || log.of_patches().iter().any(|line| line == has_data),
        || "the task does not find its data".into(),
    );
    let lines = all.lines();
    assert!(!lines.iter().any(|line| is_complaint(line)), "{lines:#?}");
}

fn a_warning_and_a_panic_have_their_location() {
    let mut log = Log::new();
    Patch("panics").enable();
    let reader = Command::new("cat").arg("/proc/version").output().unwrap();
    assert_eq!(reader.status.code(), None, "the reader is killed");
    let lines = log.lines();
    let said = |what: &str| lines.iter().any(|line| line.contains(what));
    let warned = |line: &&String| line.ends_with(": !m.is_null()");
    let warnings: Vec<_> = lines.iter().filter(warned).collect();
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("klp_test_panics: tests/patches/panics/src/lib.rs:"),
        "{lines:#?}"
    );
    assert!(said("klp_glue_warn"), "{lines:#?}");
    assert!(said("klp_test_panics: panicked at tests/patches/panics/src/lib.rs:"), "{lines:#?}");
    assert!(said(": a patch panicked at run time"), "{lines:#?}");
    assert!(said("kernel BUG at"), "{lines:#?}");

    let reader = Command::new("cat").arg("/proc/version").output().unwrap();
    assert_eq!(reader.status.code(), None, "the reader is killed");
    let lines = log.lines();
    let again = |line: &String| line.ends_with(", while a panic was told of");
    assert!(lines.iter().any(again), "{lines:#?}");
    assert!(fs::read_to_string("/proc/uptime").is_ok(), "other tasks go on");
}
