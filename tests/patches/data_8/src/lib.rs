//! A{8 v1}, with data of 8 bytes.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{data_of_two_layouts, test_patch};

test_patch!(replace: false);
data_of_two_layouts!();

/// The state whose data change their layout.
struct Moved;

#[klp_state(id = 8, version = 1)]
impl State for Moved {
    type Data = Small;

    fn pre_patch(cx: &StateContext<'_>) -> Result<Small> {
        pr_info!("pre_patch {}", cx.id());
        Ok(Small { number: 8 })
    }
}
