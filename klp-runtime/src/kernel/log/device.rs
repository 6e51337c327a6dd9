//! Messages about a device, which the kernel names in front.
//!
//! The device is a raw pointer, so each of these macros must stand in an `unsafe` block: the caller has a reference to
//! the device, or another reason why it stays.

use core::ffi::{CStr, c_int};
use core::fmt;

use super::{Level, with_text};
use crate::module::wrappers;
use crate::types::{Is, device, net_device};

/// A string and its length, on a line of its own.
const FORMAT: &CStr = c"%.*s\n";

impl Level {
    /// What the kernel's functions take for this level.
    const fn prefix(self) -> &'static CStr {
        match self {
            Self::Emerg => c"\x010",
            Self::Alert => c"\x011",
            Self::Crit => c"\x012",
            Self::Err => c"\x013",
            Self::Warn => c"\x014",
            Self::Notice => c"\x015",
            Self::Info => c"\x016",
            Self::Debug => c"\x017",
        }
    }
}

/// Prints one line about a device; behind the `dev_…` macros. Any context.
///
/// # Safety
///
/// The device is initialised, and stays while it is called.
#[doc(hidden)]
pub unsafe fn print_device<D: Is<device>>(level: Level, device: *const D, message: fmt::Arguments<'_>) {
    let device = device.cast();
    with_text(message, |text, len: c_int| {
        // SAFETY: The caller has the device; the format asks for a length and as many bytes.
        unsafe { wrappers::_dev_printk(level.prefix().as_ptr(), device, FORMAT.as_ptr(), len, text) };
    });
}

/// Prints one line about a network device; behind the `netdev_…` macros. Any context.
///
/// # Safety
///
/// The device is initialised, and stays while it is called.
#[doc(hidden)]
pub unsafe fn print_net_device<D: Is<net_device>>(
    level: Level,
    device: *const D,
    message: fmt::Arguments<'_>,
) {
    let device = device.cast();
    with_text(message, |text, len: c_int| {
        // SAFETY: The caller has the device; the format asks for a length and as many bytes.
        unsafe { wrappers::netdev_printk(level.prefix().as_ptr(), device, FORMAT.as_ptr(), len, text) };
    });
}

/// Prints a line about a device at level emerg (the system is unusable): `dev_emerg!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! dev_emerg {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_device($crate::log::Level::Emerg, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a device at level alert (action must be taken at once): `dev_alert!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! dev_alert {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_device($crate::log::Level::Alert, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a device at level crit (critical conditions): `dev_crit!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! dev_crit {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_device($crate::log::Level::Crit, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a device at level err (an error): `dev_err!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! dev_err {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_device($crate::log::Level::Err, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a device at level warn (a warning): `dev_warn!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! dev_warn {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_device($crate::log::Level::Warn, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a device at level notice (normal but significant): `dev_notice!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! dev_notice {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_device($crate::log::Level::Notice, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a device at level info (informational): `dev_info!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! dev_info {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_device($crate::log::Level::Info, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a device at level debug (for debugging): `dev_dbg!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! dev_dbg {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_device($crate::log::Level::Debug, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a network device at level emerg (the system is unusable): `netdev_emerg!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! netdev_emerg {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_net_device($crate::log::Level::Emerg, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a network device at level alert (action must be taken at once): `netdev_alert!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! netdev_alert {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_net_device($crate::log::Level::Alert, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a network device at level crit (critical conditions): `netdev_crit!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! netdev_crit {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_net_device($crate::log::Level::Crit, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a network device at level err (an error): `netdev_err!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! netdev_err {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_net_device($crate::log::Level::Err, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a network device at level warn (a warning): `netdev_warn!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! netdev_warn {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_net_device($crate::log::Level::Warn, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a network device at level notice (normal but significant): `netdev_notice!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! netdev_notice {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_net_device($crate::log::Level::Notice, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a network device at level info (informational): `netdev_info!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! netdev_info {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_net_device($crate::log::Level::Info, $device, ::core::format_args!($($message)*))
    };
}

/// Prints a line about a network device at level debug (for debugging): `netdev_dbg!(device, "…", …)`.
///
/// Any context, in an `unsafe` block: the device stays meanwhile. A message is cut at 256 bytes.
#[macro_export]
macro_rules! netdev_dbg {
    ($device:expr, $($message:tt)*) => {
        $crate::log::print_net_device($crate::log::Level::Debug, $device, ::core::format_args!($($message)*))
    };
}
