//! The kernel's clock tick, for structures that hold a time in it.

use core::ffi::{c_long, c_ulong};

use crate::module::sys;

/// The kernel's tick counter (`jiffies`). It wraps, so compare times with [`time_after`]. Any context. On the host,
/// [`work::advance`](crate::work::advance) advances it.
#[must_use]
pub fn jiffies() -> c_ulong {
    sys::klp_glue_jiffies()
}

/// The number of ticks in a time, rounded up (`msecs_to_jiffies`). Any context.
#[must_use]
pub fn msecs_to_jiffies(msecs: u32) -> c_ulong {
    sys::klp_glue_msecs_to_jiffies(msecs)
}

/// Whether time `a` is later than `b`, both in ticks. It is right also where the counter has wrapped between them.
#[must_use]
pub const fn time_after(a: c_ulong, b: c_ulong) -> bool {
    (b.wrapping_sub(a) as c_long) < 0
}
