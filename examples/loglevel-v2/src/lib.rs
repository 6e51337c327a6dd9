//! The next cumulative patch after `loglevel-v1`: it raises the level a little less, and brings a
//! redirected function along.
//!
//! The state has the same id and name and a higher version. When this patch replaces the first,
//! nothing of the state is undone and made anew: `take_over` is called with the data that version 1
//! saved. Loaded alone, the patch introduces the state itself.
#![no_std]

mod proc;

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Raises the console log level to 7, and shows another text in /proc/cmdline",
    replace: true,
}

unsafe extern "C" {
    /// `kernel/printk/printk.c`: the log levels of `/proc/sys/kernel/printk`; the console's comes first.
    static mut console_printk: [c_int; 4];
}

/// Shows everything but debug messages.
const RAISED: c_int = 7;

/// The level that the administrator had set; as in version 1, or the patch would be refused.
#[derive(KlpData)]
#[repr(C)]
struct SavedLevel {
    level: c_int,
}

/// The raised console log level.
struct ConsoleLoglevel;

#[klp_state(id = 1, version = 2)]
impl State for ConsoleLoglevel {
    type Data = SavedLevel;

    fn pre_patch(_cx: &StateContext<'_>) -> Result<SavedLevel> {
        let level = console_level();
        pr_info!("console log level {level} saved");
        Ok(SavedLevel { level })
    }

    fn post_patch(_cx: &StateContext<'_>, saved: &SavedLevel) {
        pr_info!("console log level {} -> {RAISED}", saved.level);
        set_console_level(RAISED);
    }

    // ANCHOR: take_over
    fn take_over(_cx: &StateContext<'_>, saved: &SavedLevel, from: u32) {
        pr_info!(
            "console log level -> {RAISED}, taken over from version {from}, which saved {}",
            saved.level
        );
        set_console_level(RAISED);
    }
    // ANCHOR_END: take_over

    fn pre_unpatch(_cx: &StateContext<'_>, saved: &SavedLevel) {
        pr_info!("console log level back to {}", saved.level);
        set_console_level(saved.level);
    }
}

fn console_level() -> c_int {
    // SAFETY: An aligned int that the kernel itself reads without a lock.
    unsafe { (&raw const console_printk).cast::<c_int>().read_volatile() }
}

fn set_console_level(level: c_int) {
    // SAFETY: An aligned int that the kernel itself writes without a lock; any value is a valid level.
    unsafe { (&raw mut console_printk).cast::<c_int>().write_volatile(level) }
}
