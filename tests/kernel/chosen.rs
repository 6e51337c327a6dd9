//! Choices made when a patch is loaded: module parameters and hooks.

use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::io::Errno;

use crate::guest::{Log, Patch};

crate::tests![
    parameters_are_read_and_written,
    l26_an_init_hook_reaches_no_shadow_variable,
    l25_functions_and_states_are_left_out,
    an_init_hook_refuses,
    an_exit_hook_runs_where_enabling_fails,
    a_patch_replaces_if_told_to,
];

const CHOSEN: Patch = Patch("chosen");

fn parameter(name: &str) -> String {
    format!("/sys/module/klp_test_chosen/parameters/{name}")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap().trim_end().to_owned()
}

/// Loads the patch; what it logs.
fn insert(parameters: &CStr) -> Vec<String> {
    let mut log = Log::new();
    CHOSEN.insert_with(parameters).unwrap();
    CHOSEN.settle();
    log.of_patches()
}

fn parameters_are_read_and_written() {
    insert(c"text=given");
    assert_eq!(read("/proc/cmdline"), "given");
    assert_eq!(read(&parameter("shown")), "1");
    fs::write(parameter("shown"), "41").unwrap();
    read("/proc/cmdline");
    assert_eq!(read(&parameter("shown")), "42");
    assert!(fs::write(parameter("shown"), "no number").is_err());

    assert_eq!(read(&parameter("mask")), "0x0000ab");
    assert_eq!((read(&parameter("text")), read(&parameter("replace"))), ("given".into(), "N".into()));
    let mode = |name: &str| fs::metadata(parameter(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(["shown", "mask", "text"].map(mode), [0o644, 0o600, 0o444]);
    assert!(!fs::exists(parameter("omit")).unwrap(), "it has no permissions, so no file");
    CHOSEN.end();
    assert!(CHOSEN.insert_with(c"omit=1,2,1,2,1").is_err(), "there is room for four");
    assert!(CHOSEN.insert_with(c"shown=many").is_err());
}

/// It logs an error if it does.
fn l26_an_init_hook_reaches_no_shadow_variable() {
    assert_eq!(insert(c""), ["chosen.init", "chosen.the state is introduced"]);
    CHOSEN.end();
    assert_eq!(insert(c"stateless=1"), ["chosen.init"]);
    CHOSEN.end();
}

/// The shadow variables of a state that is left out can't be reached, and none is left.
fn l25_functions_and_states_are_left_out() {
    assert_eq!(insert(c""), ["chosen.init", "chosen.the state is introduced"]);
    assert_eq!([read("/proc/cmdline"), read("/proc/version")], ["text", "patched, with a variable"]);
    CHOSEN.end();
    // The engine has nothing to do then.
    assert_eq!(insert(c"omit=1 stateless=1"), ["chosen.init"]);
    assert_ne!(read("/proc/cmdline"), "text");
    assert_eq!(read("/proc/version"), "patched");
    assert!(!fs::exists("/sys/kernel/livepatch/klp_test_chosen/vmlinux/cmdline_proc_show,1").unwrap());
    CHOSEN.end();
    assert_eq!(insert(c"omit=1,2"), ["chosen.init", "chosen.the state is introduced"]);
    CHOSEN.end();
}

fn an_init_hook_refuses() {
    let mut log = Log::new();
    assert_eq!(CHOSEN.insert_with(c"error=-28"), Err(Errno::NOSPC));
    assert_eq!(CHOSEN.insert_with(c"omit=9"), Err(Errno::NOENT));
    assert_eq!(log.of_patches(), ["chosen.init", "chosen.init"]);
    assert!(!CHOSEN.is_loaded());
}

fn an_exit_hook_runs_where_enabling_fails() {
    let mut log = Log::new();
    // It provides the same state under another name (S1).
    Patch("a1").enable();
    assert_eq!(CHOSEN.insert_with(c""), Err(Errno::INVAL));
    let log = log.of_patches();
    assert_eq!(log.iter().filter(|line| *line == "chosen.exit").count(), 1, "{log:?}");
    assert!(!CHOSEN.is_loaded());
    Patch("a1").end();
}

fn a_patch_replaces_if_told_to() {
    let first = Patch("a1");
    first.enable();
    insert(c"replace=1 stateless=1");
    first.gone();
    first.remove();
    CHOSEN.end();
}
