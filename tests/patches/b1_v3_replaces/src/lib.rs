//! B+{1 v3}.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{logged_state, test_patch};

test_patch!(replace: true);
logged_state!(State1, id = 1, version = 3);
