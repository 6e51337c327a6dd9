//! B+{8 v2}, which makes data of 16 bytes of those that A has, and waits for every task that opens a FIFO.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{data_of_two_layouts, test_patch};

test_patch!(replace: true);
data_of_two_layouts!();

/// The state whose data have changed their layout.
struct Moved;

// ANCHOR: migrate
#[klp_state(id = 8, version = 2, from(version = 1, data = Small))]
impl State for Moved {
    type Data = Large;

    fn pre_patch(cx: &StateContext<'_>) -> Result<Large> {
        pr_info!("pre_patch {}", cx.id());
        Ok(Large { number: 8, twice: 16 })
    }

    fn migrate(cx: &StateContext<'_>, old: &Small) -> Result<Large> {
        pr_info!("migrate {}", cx.id());
        Ok(Large { number: old.number, twice: 2 * old.number })
    }
    // ANCHOR_END: migrate

    fn take_over(cx: &StateContext<'_>, _data: &Large, from: u32) {
        pr_info!("take_over {} from {from}", cx.id());
    }

    fn pre_unpatch(cx: &StateContext<'_>, data: &Large) {
        pr_info!("pre_unpatch {}: {} and {}", cx.id(), data.number, data.twice);
    }

    fn post_unpatch(cx: &StateContext<'_>, data: &Large) {
        pr_info!("post_unpatch {}: {} and {}", cx.id(), data.number, data.twice);
    }
}

/// In place of `fs/pipe.c`: fails to open a FIFO.
///
/// # Safety
///
/// Called by the kernel.
#[klp_func(symbol = "fifo_open")]
unsafe extern "C" fn fails_to_open(_inode: *mut inode, _file: *mut file) -> c_int {
    EIO.to_errno()
}
