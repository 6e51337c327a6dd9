//! Warns and panics where /proc/version is read.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

/// In place of `fs/proc/version.c`: warns once, and panics.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    for _ in 0..2 {
        warn_on_once!(!m.is_null());
    }
    assert!(m.is_null(), "a patch panicked at {}", "run time");
    0
}
