//! Raises the console log level while a fix is in place, and gives it back.
//!
//! The change belongs to the patch as a whole, not to a function: it is a state. What is needed to
//! undo it is the state's data, which stay when `loglevel-v2` replaces this patch and this module
//! is unloaded.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Raises the console log level to 8",
    replace: true,
}

unsafe extern "C" {
    /// `kernel/printk/printk.c`: the log levels of `/proc/sys/kernel/printk`; the console's comes first.
    static mut console_printk: [c_int; 4];
}

/// Shows everything up to debug messages.
const RAISED: c_int = 8;

// ANCHOR: state
/// The level that the administrator had set.
#[derive(KlpData)]
#[repr(C)]
struct SavedLevel {
    level: c_int,
}

/// The raised console log level.
struct ConsoleLoglevel;

#[klp_state(id = 1, version = 1)]
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

    fn pre_unpatch(_cx: &StateContext<'_>, saved: &SavedLevel) {
        pr_info!("console log level back to {}", saved.level);
        set_console_level(saved.level);
    }
}
// ANCHOR_END: state

fn console_level() -> c_int {
    // SAFETY: An aligned int that the kernel itself reads without a lock.
    unsafe { (&raw const console_printk).cast::<c_int>().read_volatile() }
}

fn set_console_level(level: c_int) {
    // SAFETY: An aligned int that the kernel itself writes without a lock; any value is a valid level.
    unsafe { (&raw mut console_printk).cast::<c_int>().write_volatile(level) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use klp_runtime::sim::Sim;

    /// The kernel's, for the test.
    #[unsafe(no_mangle)]
    static mut console_printk: [c_int; 4] = [4, 4, 1, 7];

    #[test]
    fn the_level_is_raised_and_given_back() {
        let sim = Sim::new();
        sim.insmod(livepatch()).unwrap();
        assert_eq!(console_level(), RAISED);

        // Somebody disables the patch and thinks better of it while a task still runs old code.
        sim.stall();
        sim.disable("livepatch_loglevel_v1").unwrap();
        assert_eq!(console_level(), 4);
        sim.write_enabled("livepatch_loglevel_v1", true).unwrap();
        sim.resume();
        assert_eq!(console_level(), RAISED);

        sim.disable("livepatch_loglevel_v1").unwrap();
        assert_eq!(console_level(), 4);
        sim.assert_clean();
    }
}
