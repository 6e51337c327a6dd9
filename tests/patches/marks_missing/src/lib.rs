//! A patch on a function that a module lacks.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{logged_state, test_patch};

test_patch!(replace: false);
logged_state!(State1, id = 1, version = 1);

/// The module can't be loaded while the patch is enabled, nor the patch while the module is loaded.
///
/// # Safety
///
/// Never called.
#[klp_func(symbol = "klp_test_no_such_function", object = "klp_test_target")]
unsafe extern "C" fn missing() {}
