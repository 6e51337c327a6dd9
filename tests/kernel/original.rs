//! Replacements that call what they replace, and are what the kernel sees of them.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::guest::{Log, Patch};
use crate::sleeper::Sleeper;

crate::tests![
    original_with_a_check_before_and_a_correction_after,
    original_holds_up_a_disable,
    original_does_not_hold_up_going_back,
    original_holds_up_a_replace,
    original_of_an_enable_that_is_reversed,
    what_a_replacement_calls_last_holds_up_a_disable,
];

const ORIGINAL: Patch = Patch("original");
const TAIL_CALL: Patch = Patch("tail_call");
/// Replaces other patches; opening a FIFO fails.
const B2_STALLS: Patch = Patch("b2_stalls");
/// The user `nobody`.
const NOBODY: u32 = 65534;

/// A task that sleeps in the original, called by the replacement.
fn sleeper(name: &str) -> Sleeper {
    Sleeper::opening_a_fifo(name, "[klp_test_original]")
}

fn original_with_a_check_before_and_a_correction_after() {
    let version = fs::read_to_string("/proc/version").unwrap();
    ORIGINAL.enable();
    assert_eq!(fs::read_to_string("/proc/version").unwrap(), format!("{version}corrected, 0\n"));

    sleeper("check").let_go();
    let fifo = std::env::temp_dir().join("klp-check");
    fs::set_permissions(&fifo, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let refused = Command::new("cat").arg(&fifo).uid(NOBODY).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("Operation not permitted"), "{said}");

    ORIGINAL.end();
    assert_eq!(fs::read_to_string("/proc/version").unwrap(), version);
}

fn original_holds_up_a_disable() {
    ORIGINAL.enable();
    let inside = sleeper("disable");
    ORIGINAL.set_enabled(false);
    assert!(ORIGINAL.in_transition());
    assert!(ORIGINAL.try_remove().is_err(), "the task returns to the module's code");
    inside.let_go();
    ORIGINAL.gone();
    ORIGINAL.remove();
}

fn original_does_not_hold_up_going_back() {
    ORIGINAL.enable();
    let inside = sleeper("back");
    ORIGINAL.set_enabled(false);
    assert!(ORIGINAL.in_transition());
    // The task has not been switched: it is where it should be.
    ORIGINAL.set_enabled(true);
    ORIGINAL.settle();
    assert!(ORIGINAL.try_remove().is_err(), "it is enabled again");
    ORIGINAL.set_enabled(false);
    assert!(ORIGINAL.in_transition());
    inside.let_go();
    ORIGINAL.gone();
    ORIGINAL.remove();
}

fn original_holds_up_a_replace() {
    ORIGINAL.enable();
    let inside = sleeper("replace");
    B2_STALLS.insert().unwrap();
    assert!(B2_STALLS.in_transition());
    assert!(ORIGINAL.try_remove().is_err(), "the task returns to the module's code");
    // Opening the other end fails already.
    drop(inside);
    B2_STALLS.settle();
    ORIGINAL.gone();
    ORIGINAL.remove();
    B2_STALLS.end();
}

fn original_of_an_enable_that_is_reversed() {
    let outside = Sleeper::opening_a_fifo("enable", "fifo_open");
    ORIGINAL.insert().unwrap();
    // This task and new ones are switched, the one that sleeps is not.
    let inside = sleeper("enable-inside");
    assert!(ORIGINAL.in_transition());
    ORIGINAL.set_enabled(false);
    assert!(ORIGINAL.in_transition(), "the new task is in the replacement");
    inside.let_go();
    ORIGINAL.gone();
    ORIGINAL.remove();
    outside.let_go();
}

fn what_a_replacement_calls_last_holds_up_a_disable() {
    let mut log = Log::new();
    TAIL_CALL.enable();
    let inside = Sleeper::opening_a_fifo("tail-call", "sleeps_elsewhere");
    TAIL_CALL.set_enabled(false);
    assert!(TAIL_CALL.in_transition());
    drop(inside);
    TAIL_CALL.gone();
    TAIL_CALL.remove();
    assert!(log.lines().iter().any(|line| line.contains("unpatching complete")));
}
