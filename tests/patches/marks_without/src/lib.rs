//! B{5}, which declares none of the shadow variables that others have of the state.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{logged_state, test_patch};

test_patch!(replace: false);
logged_state!(Marks, id = 5, version = 1);
