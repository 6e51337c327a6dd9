//! In whose replacement the last thing is a call of another function, where a task sleeps.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

unsafe extern "C" {
    /// `kernel/time/sleep_timeout.c`: sleeps until the time or a signal comes.
    fn msleep_interruptible(msecs: c_uint) -> c_ulong;
}

// ANCHOR: call
/// Left to the compiler, this would be jumped to, and the replacement's frame be gone.
#[inline(never)]
unsafe extern "C" fn sleeps_elsewhere(_inode: *mut inode, _file: *mut file) -> c_int {
    // SAFETY: `open` may sleep.
    let left = unsafe { msleep_interruptible(60_000) };
    if left == 0 { EIO.to_errno() } else { EAGAIN.to_errno() }
}

/// In place of `fs/pipe.c`: opening a FIFO takes a minute, and fails.
///
/// # Safety
///
/// Called by the kernel, in process context.
#[klp_func(symbol = "fifo_open")]
unsafe extern "C" fn fifo_open(inode: *mut inode, file: *mut file) -> c_int {
    // SAFETY: the arguments are not looked at.
    unsafe { sleeps_elsewhere(inode, file) }
}
// ANCHOR_END: call
