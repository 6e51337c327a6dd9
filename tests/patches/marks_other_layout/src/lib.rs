//! A{5}, where a shadow variable of the things of `klp_test_target` has another layout.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{logged_state, test_patch};

test_patch!(replace: false);
logged_state!(Marks, id = 5, version = 1);

opaque! {
    /// What `klp_test_target` has.
    struct klp_test_thing;
}

/// Named like that of the other patches, which has a number of 32 bits.
// All things are the module's.
#[shadow(state = Marks, of = klp_test_thing, unsafe(object = "klp_test_target"))]
#[repr(C)]
struct Mark {
    looks: core::sync::atomic::AtomicI64,
}
