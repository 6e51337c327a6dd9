//! A state of the kernel's own table, version 1: no other patch takes it over.
//!
//! Its protocol is the one that the scripts follow, with the saved level in the state's `data`.
#![no_std]

use klp_kselftest_support::{MOTORMOUTH, callback_info, console_loglevel, set_console_loglevel};
use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Livepatch test: a change of the system",
    replace: true,
}

/// The changed log level of the console, shared with other patches by the kernel's own table.
#[klp_state(id = 1, version = 1, native)]
struct ConsoleLoglevel;

struct Vmlinux;

#[klp_object(name = "vmlinux")]
impl Object for Vmlinux {
    fn pre_patch(object: &ObjectContext<'_>) -> Result {
        callback_info!("pre_patch_callback", object);
        let state = ConsoleLoglevel::get().ok_or(EINVAL)?;
        let saved = KBox::new(0 as c_int, GFP_KERNEL)?;
        // SAFETY: All patches that list the state take it for a pointer to the level.
        unsafe { state.set_data(KBox::into_raw(saved).cast()) };
        pr_info!("allocate_loglevel_state: allocating space to store console_loglevel");
        Ok(())
    }

    fn post_patch(object: &ObjectContext<'_>) {
        callback_info!("post_patch_callback", object);
        let Some(state) = ConsoleLoglevel::get() else { return };
        pr_info!("fix_console_loglevel: fixing console_loglevel");
        // SAFETY: `pre_patch` has put it there.
        unsafe { *state.data().cast::<c_int>() = console_loglevel() };
        set_console_loglevel(MOTORMOUTH);
    }

    fn pre_unpatch(object: &ObjectContext<'_>) {
        callback_info!("pre_unpatch_callback", object);
        let Some(state) = ConsoleLoglevel::get() else { return };
        pr_info!("restore_console_loglevel: restoring console_loglevel");
        // SAFETY: The data of the state is the int that `pre_patch` allocated.
        set_console_loglevel(unsafe { *state.data().cast::<c_int>() });
    }

    fn post_unpatch(object: &ObjectContext<'_>) {
        callback_info!("post_unpatch_callback", object);
        let Some(state) = ConsoleLoglevel::get() else { return };
        pr_info!("free_loglevel_state: freeing space for the stored console_loglevel");
        // SAFETY: `pre_patch` made it with `KBox`, and nobody uses it any more.
        drop(unsafe { KBox::<c_int>::from_raw(state.data().cast()) });
    }
}
