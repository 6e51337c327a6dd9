//! Replacements whose bodies are C: redirected, found on the stack and gone as any other. States and shadow variables
//! that they use are Rust's.

use std::fs;

use crate::guest::{Log, Patch};
use crate::sleeper::Sleeper;

crate::tests![c_bodies_run_in_place_of_functions, a_c_body_holds_up_a_disable];

const C_BODIES: Patch = Patch("c_bodies");

fn c_bodies_run_in_place_of_functions() {
    let read = |path: &str| fs::read_to_string(path).unwrap();
    let (version, cmdline) = (read("/proc/version"), read("/proc/cmdline"));
    let mut log = Log::new();
    C_BODIES.enable();
    for times in 1..=2 {
        assert_eq!(read("/proc/version"), format!("{version}corrected in C, 0, read {times} times\n"));
    }
    assert_eq!(read("/proc/cmdline"), format!("C: {cmdline}"));
    let lines = log.lines();
    assert!(lines.iter().any(|line| line == "klp_test_c_bodies: there are processes"), "{lines:?}");
    C_BODIES.end();
    let lines = log.lines();
    assert!(lines.iter().any(|line| line == "klp_test_c_bodies: 2 reads, 250 ticks a second"), "{lines:?}");
    assert_eq!((read("/proc/version"), read("/proc/cmdline")), (version, cmdline));
}

/// It leaves by a jump to the original, and its caller stays on the stack.
fn a_c_body_holds_up_a_disable() {
    C_BODIES.enable();
    let inside = Sleeper::opening_a_fifo("c-body", "[klp_test_c_bodies]");
    C_BODIES.set_enabled(false);
    assert!(C_BODIES.in_transition());
    assert!(C_BODIES.try_remove().is_err(), "the task returns to the module's code");
    inside.let_go();
    C_BODIES.gone();
    C_BODIES.remove();
}
