//! B+{2}, where patching a function fails.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{logged_state, test_patch};

test_patch!(replace: true);
logged_state!(State2, id = 2, version = 1);

/// Exists, and can't be redirected: patching fails after `pre_patch`.
///
/// # Safety
///
/// Never called.
#[cfg_attr(target_arch = "aarch64", klp_func(symbol = "el0t_64_sync_handler", unchecked))]
#[cfg_attr(not(target_arch = "aarch64"), klp_func(symbol = "do_syscall_64", unchecked))]
unsafe extern "C" fn unpatchable() {}
