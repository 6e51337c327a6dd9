//! Inline functions, macros and constants of the kernel's headers: one source, whatever the kernel has them as.

use std::fs;

use crate::guest::Patch;

crate::tests![inline_functions_macros_and_constants];

fn inline_functions_macros_and_constants() {
    let patch = Patch("headers");
    let name = fs::read_to_string("/proc/self/comm").unwrap();
    patch.enable();
    let text = fs::read_to_string("/proc/version").unwrap();
    patch.end();
    // A list that is empty, then not; ticks a second; ten seconds in milliseconds; the smallest error; who reads.
    assert_eq!(text, format!("1 0 250 10000 -4095 {name}"));
}
