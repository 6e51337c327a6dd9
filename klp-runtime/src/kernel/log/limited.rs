//! Messages that a place in the source prints once, or not too often.

use core::ffi::CStr;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::module::wrappers;

/// Runs a function once: behind [`do_once_lite!`](crate::do_once_lite).
#[derive(Debug)]
pub struct OnceLite(AtomicBool);

impl OnceLite {
    /// One that has run nothing yet.
    #[allow(clippy::new_without_default)]
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Runs the function, unless one was run before; returns whether it did. Any context. That it did not does not
    /// mean that the other one has returned.
    #[inline]
    pub fn call_once(&self, function: impl FnOnce()) -> bool {
        // Most calls only read.
        let is_first = !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::Relaxed);
        if is_first {
            function();
        }
        is_first
    }
}

/// Lets a message pass ten times in five seconds: the kernel's `struct ratelimit_state`, with its defaults.
pub struct Ratelimit(wrappers::RawRatelimit);

impl Ratelimit {
    /// One that nothing has passed.
    #[allow(clippy::new_without_default)]
    #[must_use]
    pub const fn new() -> Self {
        Self(wrappers::RawRatelimit::new())
    }

    /// Whether a message may pass. When messages may pass again, the log says for `name` how many could not. Any
    /// context but a non-maskable interrupt.
    pub fn is_allowed(&'static self, name: &CStr) -> bool {
        self.0.is_allowed(name)
    }
}

impl fmt::Debug for Ratelimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ratelimit").finish_non_exhaustive()
    }
}

/// Whether a message of the network may pass: one limit for the whole kernel, that of `net_warn_ratelimited` and its
/// like. Any context but a non-maskable interrupt.
#[must_use]
pub fn net_ratelimit() -> bool {
    wrappers::net_ratelimit() != 0
}

/// Runs statements once, the first time that this place is reached; is whether they ran. Any context.
///
/// Once for each load of the patch: the next version, and the same one loaded again, start anew.
///
/// ```
/// use klp_runtime::prelude::*;
///
/// let mut times = 0;
/// for _ in 0..3 {
///     do_once_lite! { times += 1 };
/// }
/// assert_eq!(times, 1);
/// ```
#[macro_export]
macro_rules! do_once_lite {
    ($($statements:tt)*) => {{
        static ONCE: $crate::log::OnceLite = $crate::log::OnceLite::new();
        ONCE.call_once(|| { $($statements)*; })
    }};
}

/// Behind the `pr_…_ratelimited` macros.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_ratelimited {
    ($level:ident, $($message:tt)*) => {{
        static LIMIT: $crate::log::Ratelimit = $crate::log::Ratelimit::new();
        if LIMIT.is_allowed($crate::__log_name!()) {
            $crate::__log!($level, $($message)*);
        }
    }};
}

/// As [`pr_emerg!`](crate::pr_emerg), the first time that this place is reached, and not again. Any context.
#[macro_export]
macro_rules! pr_emerg_once {
    ($($message:tt)*) => { $crate::do_once_lite! { $crate::pr_emerg!($($message)*) } };
}

/// As [`pr_alert!`](crate::pr_alert), the first time that this place is reached, and not again. Any context.
#[macro_export]
macro_rules! pr_alert_once {
    ($($message:tt)*) => { $crate::do_once_lite! { $crate::pr_alert!($($message)*) } };
}

/// As [`pr_crit!`](crate::pr_crit), the first time that this place is reached, and not again. Any context.
#[macro_export]
macro_rules! pr_crit_once {
    ($($message:tt)*) => { $crate::do_once_lite! { $crate::pr_crit!($($message)*) } };
}

/// As [`pr_err!`](crate::pr_err), the first time that this place is reached, and not again. Any context.
#[macro_export]
macro_rules! pr_err_once {
    ($($message:tt)*) => { $crate::do_once_lite! { $crate::pr_err!($($message)*) } };
}

/// As [`pr_warn!`](crate::pr_warn), the first time that this place is reached, and not again. Any context.
#[macro_export]
macro_rules! pr_warn_once {
    ($($message:tt)*) => { $crate::do_once_lite! { $crate::pr_warn!($($message)*) } };
}

/// As [`pr_notice!`](crate::pr_notice), the first time that this place is reached, and not again. Any context.
#[macro_export]
macro_rules! pr_notice_once {
    ($($message:tt)*) => { $crate::do_once_lite! { $crate::pr_notice!($($message)*) } };
}

/// As [`pr_info!`](crate::pr_info), the first time that this place is reached, and not again. Any context.
#[macro_export]
macro_rules! pr_info_once {
    ($($message:tt)*) => { $crate::do_once_lite! { $crate::pr_info!($($message)*) } };
}

/// As [`pr_debug!`](crate::pr_debug), the first time that this place is reached, and not again. Any context.
#[macro_export]
macro_rules! pr_debug_once {
    ($($message:tt)*) => { $crate::do_once_lite! { $crate::pr_debug!($($message)*) } };
}

/// As [`pr_emerg!`](crate::pr_emerg), at most ten times in five seconds from this place. Any context but a non-maskable
/// interrupt.
#[macro_export]
macro_rules! pr_emerg_ratelimited {
    ($($message:tt)*) => { $crate::__log_ratelimited!(Emerg, $($message)*) };
}

/// As [`pr_alert!`](crate::pr_alert), at most ten times in five seconds from this place. Any context but a non-maskable
/// interrupt.
#[macro_export]
macro_rules! pr_alert_ratelimited {
    ($($message:tt)*) => { $crate::__log_ratelimited!(Alert, $($message)*) };
}

/// As [`pr_crit!`](crate::pr_crit), at most ten times in five seconds from this place. Any context but a non-maskable
/// interrupt.
#[macro_export]
macro_rules! pr_crit_ratelimited {
    ($($message:tt)*) => { $crate::__log_ratelimited!(Crit, $($message)*) };
}

/// As [`pr_err!`](crate::pr_err), at most ten times in five seconds from this place. Any context but a non-maskable
/// interrupt.
#[macro_export]
macro_rules! pr_err_ratelimited {
    ($($message:tt)*) => { $crate::__log_ratelimited!(Err, $($message)*) };
}

/// As [`pr_warn!`](crate::pr_warn), at most ten times in five seconds from this place. Any context but a non-maskable
/// interrupt.
#[macro_export]
macro_rules! pr_warn_ratelimited {
    ($($message:tt)*) => { $crate::__log_ratelimited!(Warn, $($message)*) };
}

/// As [`pr_notice!`](crate::pr_notice), at most ten times in five seconds from this place. Any context but a non-maskable
/// interrupt.
#[macro_export]
macro_rules! pr_notice_ratelimited {
    ($($message:tt)*) => { $crate::__log_ratelimited!(Notice, $($message)*) };
}

/// As [`pr_info!`](crate::pr_info), at most ten times in five seconds from this place. Any context but a non-maskable
/// interrupt.
#[macro_export]
macro_rules! pr_info_ratelimited {
    ($($message:tt)*) => { $crate::__log_ratelimited!(Info, $($message)*) };
}

/// As [`pr_debug!`](crate::pr_debug), at most ten times in five seconds from this place. Any context but a non-maskable
/// interrupt.
#[macro_export]
macro_rules! pr_debug_ratelimited {
    ($($message:tt)*) => { $crate::__log_ratelimited!(Debug, $($message)*) };
}
