//! A{6}, which marks a thing of a module that it does not redirect.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

opaque! {
    /// What `klp_test_target` has.
    struct klp_test_thing;
}

unsafe extern "C" {
    /// A page of zeros, on each architecture: where the first of the things is.
    static empty_zero_page: klp_test_thing;
}

/// Which marks the thing.
struct Bare;

#[klp_state(id = 6, version = 1)]
impl State for Bare {
    fn post_patch(_cx: &StateContext<'_>, _data: &()) {
        // SAFETY: It is there; only its address counts.
        let thing = unsafe { &empty_zero_page };
        if let Err(error) = BareMark::alloc(thing, GFP_KERNEL, || Ok(BareMark { number: 1 })) {
            pr_err!("failed with {error}");
        }
    }
}

/// A number.
// The one thing is used nowhere.
#[shadow(state = Bare, of = klp_test_thing, unsafe(object = "klp_test_target"))]
#[repr(C)]
struct BareMark {
    number: u8,
}

impl Drop for BareMark {
    fn drop(&mut self) {
        pr_info!("dropped {}", self.number);
    }
}
