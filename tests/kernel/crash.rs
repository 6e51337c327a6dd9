//! Tests after which the kernel is no longer sound: in a boot of their own.

use std::fs;
use std::process::Command;

use crate::guest::{Log, Patch};

crate::tests![a_panic_is_a_bug_with_its_location];

fn a_panic_is_a_bug_with_its_location() {
    let mut log = Log::new();
    Patch("panics").enable();
    let reader = Command::new("cat").arg("/proc/version").output().unwrap();
    assert_eq!(reader.status.code(), None, "the reader is killed");
    let lines = log.lines();
    let said = |what: &str| lines.iter().any(|line| line.contains(what));
    assert!(said("klp_test_panics: panicked at tests/patches/panics/src/lib.rs:"), "{lines:#?}");
    assert!(said(": a patch panicked at run time"), "{lines:#?}");
    assert!(said("kernel BUG at"), "{lines:#?}");
    assert!(fs::read_to_string("/proc/uptime").is_ok(), "other tasks go on");
}
