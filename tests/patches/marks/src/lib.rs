//! A{5}, which marks the things of a module, and in whose `fifo_open` a task sleeps.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{marked_things, sleepy_fifo_open, test_patch};

test_patch!(replace: false);
marked_things!();
sleepy_fifo_open!();
