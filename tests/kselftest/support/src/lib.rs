//! What several modules of the kernel's selftests have in common: lines that the scripts look for.
#![no_std]

use core::ffi::c_int;

use klp_runtime::object::ModuleState;

unsafe extern "C" {
    /// `kernel/printk/printk.c`: the console's log level comes first.
    static mut console_printk: [c_int; 4];
}

/// Louder than every level.
pub const MOTORMOUTH: c_int = 15;

/// The log level of the console.
#[must_use]
pub fn console_loglevel() -> c_int {
    // SAFETY: An aligned int that the kernel itself reads without a lock.
    unsafe { (&raw const console_printk).cast::<c_int>().read_volatile() }
}

/// Sets the log level of the console.
pub fn set_console_loglevel(level: c_int) {
    // SAFETY: An aligned int that the kernel itself writes without a lock; any value is a valid level.
    unsafe { (&raw mut console_printk).cast::<c_int>().write_volatile(level) }
}

/// How the scripts have a module's state.
#[must_use]
pub const fn module_state(state: ModuleState) -> &'static str {
    match state {
        ModuleState::Live => "[MODULE_STATE_LIVE] Normal state",
        ModuleState::Coming => "[MODULE_STATE_COMING] Full formed, running module_init",
        ModuleState::Going => "[MODULE_STATE_GOING] Going away",
        ModuleState::Unformed => "[MODULE_STATE_UNFORMED] Still setting it up",
    }
}

/// Logs which callback was called, and for which object.
#[macro_export]
macro_rules! callback_info {
    ($callback:literal, $object:expr) => {
        match ($object.name(), $object.module_state()) {
            (Some(name), Some(state)) => ::klp_runtime::pr_info!(
                "{}: {} -> {}",
                $callback,
                name.to_str().unwrap_or_default(),
                $crate::module_state(state)
            ),
            _ => ::klp_runtime::pr_info!("{}: vmlinux", $callback),
        }
    };
}

/// An object all of whose callbacks are logged; `pre_patch` returns what is given for it.
#[macro_export]
macro_rules! logged_object {
    ($name:ident, $object:literal, $pre_patch:expr) => {
        struct $name;

        #[klp_object(name = $object)]
        impl Object for $name {
            fn pre_patch(object: &ObjectContext<'_>) -> Result {
                $crate::callback_info!("pre_patch_callback", object);
                $pre_patch
            }

            fn post_patch(object: &ObjectContext<'_>) {
                $crate::callback_info!("post_patch_callback", object);
            }

            fn pre_unpatch(object: &ObjectContext<'_>) {
                $crate::callback_info!("pre_unpatch_callback", object);
            }

            fn post_unpatch(object: &ObjectContext<'_>) {
                $crate::callback_info!("post_unpatch_callback", object);
            }
        }
    };
}
