//! A{1}, where state 1 is another author's: it has another name.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{logged_state, test_patch};

test_patch!(replace: false);
logged_state!(Mine, id = 1, version = 1);
