//! The kernel log.
//!
//! | | |
//! | --- | --- |
//! | `pr_info!("…", …)` and its like | a line with the module's name in front |
//! | `pr_info_once!`, `pr_info_ratelimited!` | the same, once or not too often from one place |
//! | `dev_info!(device, "…", …)`, `netdev_info!` | a line with the device's name in front |
//! | [`do_once_lite!`](crate::do_once_lite), [`net_ratelimit`] | what is behind these, for other uses |
//!
//! The levels are emerg, alert, crit, err, warn, notice, info and debug (`dbg` for devices).

mod device;
mod limited;

use core::ffi::{CStr, c_int};
use core::fmt::{self, Write};

use crate::module::sys;

#[doc(hidden)]
pub use device::{print_device, print_net_device};
pub use limited::{OnceLite, Ratelimit, net_ratelimit};

/// The level of a message, as in `include/linux/kern_levels.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The system is unusable.
    Emerg,
    /// Action must be taken at once.
    Alert,
    /// Critical conditions.
    Crit,
    /// An error.
    Err,
    /// A warning.
    Warn,
    /// Normal but significant.
    Notice,
    /// Informational.
    Info,
    /// For debugging.
    Debug,
}

impl Level {
    /// What `_printk` is to print at this level.
    const fn format(self) -> &'static CStr {
        match self {
            Self::Emerg => c"\x010%s%.*s\n",
            Self::Alert => c"\x011%s%.*s\n",
            Self::Crit => c"\x012%s%.*s\n",
            Self::Err => c"\x013%s%.*s\n",
            Self::Warn => c"\x014%s%.*s\n",
            Self::Notice => c"\x015%s%.*s\n",
            Self::Info => c"\x016%s%.*s\n",
            Self::Debug => c"\x017%s%.*s\n",
        }
    }
}

/// The longest message in bytes; a longer one is cut. It is on the stack of the caller.
const LONGEST: usize = 256;

struct Line {
    text: [u8; LONGEST],
    len: usize,
}

impl Line {
    /// Adds as much of the text as fits. Never inlined: each of the many callers would copy the loop.
    #[inline(never)]
    fn push(&mut self, text: &[u8]) {
        // `zip` ends with the shorter one, without a bounds check that could panic.
        for (to, from) in self.text.iter_mut().skip(self.len).zip(text) {
            *to = *from;
        }
        self.len = self.len.saturating_add(text.len()).min(LONGEST);
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// Prints one line; behind the `pr_…` macros. Any context.
#[doc(hidden)]
pub fn print(level: Level, prefix: &CStr, message: fmt::Arguments<'_>) {
    with_text(message, |text, len| {
        // SAFETY: The arguments are what the format asks for: a string, a length and as many bytes.
        unsafe { sys::_printk(level.format().as_ptr(), prefix.as_ptr(), len, text) };
    });
}

/// Hands on the text of a message, as its first byte and how many there are.
fn with_text(message: fmt::Arguments<'_>, print: impl FnOnce(*const u8, c_int)) {
    let mut line;
    let text = match message.as_str() {
        Some(text) => text.as_bytes(),
        None => {
            line = Line { text: [0; LONGEST], len: 0 };
            // Only a `Display` of the patch's own can fail: what came before it is printed.
            let _ = line.write_fmt(message);
            line.text.get(..line.len).unwrap_or(&line.text)
        }
    };
    print(text.as_ptr(), c_int::try_from(text.len()).unwrap_or(c_int::MAX));
}

/// Prints one line at level emerg, with the module's name in front, and ends the task with a BUG. `told` is called once
/// the message is formed, which may run code of the patch.
#[cfg(all(target_os = "none", not(klp_kernel_crate)))]
pub(crate) fn bug(message: fmt::Arguments<'_>, told: impl FnOnce()) {
    let mut line = Line { text: [0; LONGEST], len: 0 };
    // As in `print`.
    let _ = line.write_fmt(message);
    told();
    // SAFETY: The text has as many bytes.
    unsafe { sys::klp_glue_bug(line.text.as_ptr(), line.len as c_int) }
}

/// The text as C has it.
#[doc(hidden)]
#[macro_export]
macro_rules! __c_text {
    ($($parts:tt)*) => {
        const {
            match ::core::ffi::CStr::from_bytes_with_nul(::core::concat!($($parts)*, "\0").as_bytes()) {
                Ok(text) => text,
                Err(_) => ::core::panic!("the text has a NUL"),
            }
        }
    };
}

/// The name of the module that a macro is used in.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_name {
    () => {
        $crate::__c_text!(::core::env!("CARGO_CRATE_NAME"))
    };
}

/// What stands in front of its messages.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_prefix {
    () => {
        $crate::__c_text!(::core::env!("CARGO_CRATE_NAME"), ": ")
    };
}

/// Behind the `pr_…` macros.
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $($message:tt)*) => {
        $crate::log::print(
            $crate::log::Level::$level,
            $crate::__log_prefix!(),
            ::core::format_args!($($message)*),
        )
    };
}

/// Prints a line at level emerg (the system is unusable), with the module's name in front.
///
/// Any context. A message is cut at 256 bytes.
#[macro_export]
macro_rules! pr_emerg {
    ($($message:tt)*) => { $crate::__log!(Emerg, $($message)*) };
}

/// Prints a line at level alert (action must be taken at once), with the module's name in front.
///
/// Any context. A message is cut at 256 bytes.
#[macro_export]
macro_rules! pr_alert {
    ($($message:tt)*) => { $crate::__log!(Alert, $($message)*) };
}

/// Prints a line at level crit (critical conditions), with the module's name in front.
///
/// Any context. A message is cut at 256 bytes.
#[macro_export]
macro_rules! pr_crit {
    ($($message:tt)*) => { $crate::__log!(Crit, $($message)*) };
}

/// Prints a line at level err (an error), with the module's name in front.
///
/// Any context. A message is cut at 256 bytes.
#[macro_export]
macro_rules! pr_err {
    ($($message:tt)*) => { $crate::__log!(Err, $($message)*) };
}

/// Prints a line at level warn (a warning), with the module's name in front.
///
/// Any context. A message is cut at 256 bytes.
#[macro_export]
macro_rules! pr_warn {
    ($($message:tt)*) => { $crate::__log!(Warn, $($message)*) };
}

/// Prints a line at level notice (normal but significant), with the module's name in front.
///
/// Any context. A message is cut at 256 bytes.
#[macro_export]
macro_rules! pr_notice {
    ($($message:tt)*) => { $crate::__log!(Notice, $($message)*) };
}

/// Prints a line at level info (informational), with the module's name in front.
///
/// Any context. A message is cut at 256 bytes.
#[macro_export]
macro_rules! pr_info {
    ($($message:tt)*) => { $crate::__log!(Info, $($message)*) };
}

/// Prints a line at level debug (for debugging), with the module's name in front.
///
/// Any context. A message is cut at 256 bytes.
#[macro_export]
macro_rules! pr_debug {
    ($($message:tt)*) => { $crate::__log!(Debug, $($message)*) };
}
