//! A{1,6}, where `pre_patch` of state 6 fails after it has made shadow variables.
#![no_std]

use core::cell::UnsafeCell;

use klp_runtime::prelude::*;
use klp_test_support::{logged_state, test_patch};

test_patch!(replace: false);
logged_state!(State1, id = 1, version = 1);

/// What the shadow variables hang on.
#[repr(transparent)]
struct Object(UnsafeCell<u64>);

// SAFETY: Nobody looks inside.
unsafe impl Sync for Object {}

static OBJECTS: [Object; 3] = [const { Object(UnsafeCell::new(0)) }; 3];

/// Whose `pre_patch` fails.
struct Half;

#[klp_state(id = 6, version = 1)]
impl State for Half {
    fn pre_patch(cx: &StateContext<'_>) -> Result {
        pr_info!("pre {}", cx.id());
        let [made, sleepy, failing] = &OBJECTS;
        Plain::alloc(made, GFP_KERNEL, || Ok(Plain { number: 1 }))?;
        Sleepy::alloc(sleepy, GFP_KERNEL, || Ok(Sleepy { number: 2 }))?;
        Plain::alloc(failing, GFP_KERNEL, || Err(ENOSPC))?;
        Ok(())
    }

    fn post_unpatch(_cx: &StateContext<'_>, _data: &()) {
        pr_err!("post_unpatch of a state whose pre_patch failed");
    }
}

/// Freed under the kernel's lock.
#[shadow(state = Half, of = Object)]
#[repr(C)]
struct Plain {
    number: u64,
}

impl Drop for Plain {
    fn drop(&mut self) {
        pr_info!("dropped plain {}", self.number);
    }
}

/// Freed where it may sleep.
#[shadow(state = Half, of = Object, sleepable)]
#[repr(C)]
struct Sleepy {
    number: u64,
}

impl Drop for Sleepy {
    fn drop(&mut self) {
        pr_info!("dropped sleepy {}", self.number);
    }
}
