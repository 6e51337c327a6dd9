//! A{1}, in whose function a task sleeps while it uses the state's data.
#![no_std]

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
    State1::with_data(|data| {
        // SAFETY: `open` may sleep.
        unsafe { msleep_interruptible(60_000) };
        pr_info!("the task has data made by {}", data.maker());
    });
    EIO.to_errno()
}
