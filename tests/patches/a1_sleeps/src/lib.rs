//! A{1}, in whose function a task sleeps.
#![no_std]

use klp_runtime::error::EINTR;
use klp_runtime::prelude::*;
use klp_test_support::{logged_state, test_patch};

test_patch!(replace: false);
logged_state!(State1, id = 1, version = 1);

unsafe extern "C" {
    /// `kernel/time/sleep_timeout.c`: sleeps until the time or a signal comes.
    fn msleep_interruptible(msecs: c_uint) -> c_ulong;
}

/// In place of `fs/pipe.c`: opening a FIFO takes a minute, and fails.
///
/// # Safety
///
/// Called by the kernel, in process context.
#[klp_func(symbol = "fifo_open")]
unsafe extern "C" fn sleeps(_inode: *mut inode, _file: *mut file) -> c_int {
    // SAFETY: `open` may sleep.
    unsafe { msleep_interruptible(60_000) };
    EINTR.to_errno()
}
