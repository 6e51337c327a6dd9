//! A{1}, whose `pre_patch` takes long.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "A patch of klp's tests",
}

unsafe extern "C" {
    /// `kernel/time/sleep_timeout.c`: sleeps.
    fn msleep(msecs: c_uint);
}

struct Slow;

#[klp_state(id = 1, version = 1)]
impl State for Slow {
    type Data = ();

    fn pre_patch(_cx: &StateContext<'_>) -> Result {
        // SAFETY: Callbacks may sleep.
        unsafe { msleep(6_000) };
        pr_info!("pre_patch returns");
        Ok(())
    }
}
