//! The kernel's clock tick, for structures that hold a time in it.

use core::ffi::c_ulong;

use crate::module::sys;

/// The ticks since the system was booted, or a little less: `jiffies`. It wraps: compare differences
/// (`time_after`). On the host, see [`work::advance`](crate::work::advance).
#[must_use]
pub fn jiffies() -> c_ulong {
    sys::klp_glue_jiffies()
}

/// How many ticks that is, rounded up: `msecs_to_jiffies`.
#[must_use]
pub fn msecs_to_jiffies(msecs: u32) -> c_ulong {
    sys::klp_glue_msecs_to_jiffies(msecs)
}

/// Whether time `a` is later than `b`, both in ticks, also where the counter has wrapped in between.
#[must_use]
pub const fn time_after(a: c_ulong, b: c_ulong) -> bool {
    b.wrapping_sub(a).cast_signed() < 0
}
