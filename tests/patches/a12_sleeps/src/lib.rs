//! A{1,2}, in whose function a task sleeps.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{logged_state, sleepy_fifo_open, test_patch};

test_patch!(replace: false);
logged_state!(State1, id = 1, version = 1);
logged_state!(State2, id = 2, version = 1);
sleepy_fifo_open!();
