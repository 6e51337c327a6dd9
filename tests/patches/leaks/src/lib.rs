//! A patch that leaks memory each time it is enabled: the tests see whether they would see it.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

/// Leaks.
struct Leak;

#[klp_state(id = 1, version = 1)]
impl State for Leak {
    fn pre_patch(_cx: &StateContext<'_>) -> Result {
        // So many that what others free meanwhile does not hide it.
        for _ in 0..8 {
            core::mem::forget(KBox::new([0_u64; 12], GFP_KERNEL)?);
        }
        Ok(())
    }
}
