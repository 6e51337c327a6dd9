//! Work that a thread of the kernel does later.

use core::fmt;
use core::time::Duration;

use crate::module::sys;

/// A function that the kernel calls later, in process context: a `struct delayed_work` on the system's work queue.
///
/// Declare it as a `static`. The function may sleep, and may schedule its own work again. It must return: a patch that
/// goes waits for it with the lock of all livepatches held, and waits after a forced transition as well. So it must not
/// load a module or wait for one that does, and a wait in it needs a limit.
///
/// The runtime stops all works of a patch ([S17](crate::lifecycle#s17)) when it is disabled, when another one has
/// replaced it, when its enabling is taken back, and when its module is unloaded. After that, no work of the patch is
/// scheduled or runs, and none can be scheduled again. The stop comes before the first `post_unpatch` and before a
/// newer patch's `take_over`. So a work may use the data of the patch's states, and nobody has to cancel it.
///
/// ```
/// use core::time::Duration;
/// use klp_runtime::work::DelayedWork;
///
/// static CLEANUP: DelayedWork = DelayedWork::new(cleanup);
///
/// fn cleanup() {
///     // …
///     CLEANUP.schedule(Duration::from_secs(10));
/// }
///
/// assert!(CLEANUP.schedule(Duration::from_secs(10)));
/// assert!(CLEANUP.cancel_sync());
/// ```
pub struct DelayedWork {
    function: fn(),
    raw: sys::RawWork,
}

impl DelayedWork {
    /// Work that is not scheduled.
    #[must_use]
    pub const fn new(function: fn()) -> Self {
        Self { function, raw: sys::RawWork::new() }
    }

    /// Schedules one call of the function after this time; at once with [`Duration::ZERO`]. Any context but a
    /// non-maskable interrupt.
    ///
    /// Returns false, and changes nothing, if it is scheduled already or the patch is stopped. The time is rounded up
    /// to milliseconds, and limited to 49 days.
    pub fn schedule(&'static self, after: Duration) -> bool {
        let part = after.subsec_nanos().div_ceil(1_000_000);
        let msecs = after.as_secs().saturating_mul(1000).saturating_add(part.into());
        self.raw.schedule(self.function, u32::try_from(msecs).unwrap_or(u32::MAX))
    }

    /// Cancels the scheduled call and waits for one that runs, even if the function schedules itself. Returns whether
    /// a call was scheduled.
    ///
    /// May sleep for as long as the function runs: process context only, and not under a lock that it takes. A
    /// function that cancels its own work does not wait for itself.
    pub fn cancel_sync(&'static self) -> bool {
        self.raw.cancel_sync()
    }
}

impl fmt::Debug for DelayedWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedWork").finish_non_exhaustive()
    }
}

/// Lets time pass on the host, where it otherwise stands still: makes the calls that this thread has scheduled and
/// that are due by then, in the order of their times. Returns their number.
#[cfg(not(target_os = "none"))]
pub fn advance(time: Duration) -> usize {
    crate::host::advance(time)
}
