//! A{5 block_disable}, which marks the things of a module.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{marked_things, test_patch};

test_patch!(replace: false);
marked_things!(block_disable);
