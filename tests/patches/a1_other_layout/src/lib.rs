//! A+{1}, where the data of state 1 have another layout.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: true);

/// Named like that of the other patches.
struct State1;

#[klp_state(id = 1, version = 1)]
impl State for State1 {
    type Data = u64;

    fn pre_patch(cx: &StateContext<'_>) -> Result<u64> {
        pr_info!("pre_patch {}", cx.id());
        Ok(0)
    }
}
