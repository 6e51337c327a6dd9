//! Warns and panics where /proc/version is read.
#![no_std]

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

/// Its text panics, too.
struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("the text of {Panics}")
    }
}

static WAS_READ: AtomicBool = AtomicBool::new(false);

/// In place of `fs/proc/version.c`: warns once, and panics; while it tells of the second panic, it panics again.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    for _ in 0..2 {
        warn_on_once!(!m.is_null());
    }
    assert!(!WAS_READ.swap(true, Relaxed), "{}", Panics);
    assert!(m.is_null(), "a patch panicked at {}", "run time");
    0
}
