//! A check before a real function and a correction after another, which do not copy them.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

unsafe extern "C" {
    /// `kernel/capability.c`: whether the task has a capability.
    fn capable(capability: c_int) -> bool;
    /// `include/linux/seq_file.h`: adds to the record that is being read.
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

/// `include/uapi/linux/capability.h`.
const CAP_SYS_ADMIN: c_int = 21;

// ANCHOR: check
/// In place of `fs/pipe.c`: only an administrator may open a FIFO. The original sleeps.
///
/// # Safety
///
/// Called by the kernel, in process context.
#[klp_func(symbol = "fifo_open", original = original_fifo_open)]
unsafe extern "C" fn fifo_open(inode: *mut inode, file: *mut file) -> c_int {
    // SAFETY: it asks about the current task.
    if !unsafe { capable(CAP_SYS_ADMIN) } {
        return EPERM.to_errno();
    }
    // SAFETY: the arguments are those that the kernel gave for it.
    unsafe { original_fifo_open(inode, file) }
}
// ANCHOR_END: check

// ANCHOR: correction
/// In place of `fs/proc/version.c`: says more than the original.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show", original = original_version)]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, v: *mut c_void) -> c_int {
    // SAFETY: the arguments are those that the kernel gave for it.
    let result = unsafe { original_version(m, v) };
    // SAFETY: `m` is the file that the kernel reads; the format takes a number.
    unsafe { seq_printf(m, c"corrected, %d\n".as_ptr(), result) };
    result
}
// ANCHOR_END: correction
