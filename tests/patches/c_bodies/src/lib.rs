//! Replacements whose bodies are C: see `bodies.c`.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

/// In place of `fs/proc/version.c`: says more than the original.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show", original = original_version)]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, v: *mut c_void) -> c_int;

/// In place of `fs/proc/cmdline.c`: uses macros of the kernel, and symbols that it does not export.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn cmdline_proc_show(m: *mut seq_file, v: *mut c_void) -> c_int;

/// In place of `fs/pipe.c`: sleeps in the original.
///
/// # Safety
///
/// Called by the kernel, in process context.
#[klp_func(symbol = "fifo_open", original = original_fifo_open)]
unsafe extern "C" fn fifo_open(inode: *mut inode, file: *mut file) -> c_int;
