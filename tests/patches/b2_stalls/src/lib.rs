//! B+{2}, which waits for every task that opens a FIFO.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{logged_state, test_patch};

test_patch!(replace: true);
logged_state!(State2, id = 2, version = 1);

/// In place of `fs/pipe.c`: fails to open a FIFO.
///
/// # Safety
///
/// Called by the kernel.
#[klp_func(symbol = "fifo_open")]
unsafe extern "C" fn fails_to_open(_inode: *mut inode, _file: *mut file) -> c_int {
    EIO.to_errno()
}
