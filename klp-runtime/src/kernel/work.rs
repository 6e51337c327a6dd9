//! Work that is done later, by a thread of the kernel's.

use core::fmt;
use core::time::Duration;

use crate::module::sys;

/// A function that the kernel calls after a time, in process context: `struct delayed_work`, on the
/// system's work queue.
///
/// For statics. The function may sleep, and may schedule its own work again.
///
/// Cancel the work in `post_unpatch` of the state that it belongs to, at the latest: the state's data
/// and shadow variables are freed right after. What is still scheduled when the module is unloaded, or
/// its loading fails, is cancelled there, after the patch's own exit function: code of a module that is
/// gone can't be called.
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

    /// Has the function called once, after this time; at once with [`Duration::ZERO`]. Any context.
    ///
    /// False, and nothing is changed, if it is waiting already, or the module is being unloaded.
    /// Milliseconds, rounded up, are the unit; what is over 49 days is cut to that.
    pub fn schedule(&'static self, after: Duration) -> bool {
        let part = after.subsec_nanos().div_ceil(1_000_000);
        let msecs = after.as_secs().saturating_mul(1000).saturating_add(part.into());
        self.raw.schedule(self.function, u32::try_from(msecs).unwrap_or(u32::MAX))
    }

    /// Makes sure that the function is not waiting to be called, and not running, when this returns; also
    /// where it schedules itself. Returns whether it was waiting.
    ///
    /// May sleep, for as long as the function runs: process context only, not in the function
    /// itself, and not under a lock that it takes.
    pub fn cancel_sync(&'static self) -> bool {
        self.raw.cancel_sync()
    }
}

impl fmt::Debug for DelayedWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedWork").finish_non_exhaustive()
    }
}

/// Lets time pass on the host, for tests: calls what this thread has scheduled and is due by then, in the
/// order of time. Returns how many calls that were.
///
/// On the host time stands still otherwise.
#[cfg(not(target_os = "none"))]
pub fn advance(time: Duration) -> usize {
    crate::host::advance(time)
}
