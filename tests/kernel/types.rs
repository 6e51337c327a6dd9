//! Calls by pointer, whose types a kernel with kCFI compares: a wrong one kills the task.

use std::fs;
use std::process::Command;

use crate::guest::{Log, Patch};

crate::tests![a_function_of_a_wrong_type_is_called_by_pointer];

/// What the test loads.
pub(crate) const MODULES: [Patch; 1] = [Patch("compared")];

/// A kernel with kCFI checks what it calls by pointer: Rust's functions must have the ids that C's types have.
fn a_function_of_a_wrong_type_is_called_by_pointer() {
    let mut log = Log::new();
    Patch("compared").enable();
    assert_eq!(fs::read_to_string("/proc/version").unwrap(), "place 2\n", "the type is right");
    let reader = Command::new("cat").arg("/proc/cmdline").output().unwrap();
    let has_cfi = fs::read_to_string("/proc/kallsyms").unwrap().contains(" report_cfi_failure\n");
    let lines = log.lines();
    let is_said = lines.iter().any(|line| line.contains("CFI failure at bsearch"));
    assert_eq!(is_said, has_cfi, "{lines:#?}");
    match has_cfi {
        true => assert_eq!(reader.status.code(), None, "the reader is killed"),
        false => assert_eq!(reader.stdout, b"place 2\n"),
    }
}
