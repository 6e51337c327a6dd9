//! C+{}.
#![no_std]

use klp_test_support::test_patch;

test_patch!(replace: true);
