//! A{1,6}, where `pre_patch` of state 6 fails after it has made shadow variables.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{logged_state, objects, test_patch};

test_patch!(replace: false);
logged_state!(State1, id = 1, version = 1);
objects!(3, state = Half);

/// Whose `pre_patch` fails.
struct Half;

#[klp_state(id = 6, version = 1)]
impl State for Half {
    fn pre_patch(cx: &StateContext<'_>) -> Result {
        pr_info!("pre_patch {}", cx.id());
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
