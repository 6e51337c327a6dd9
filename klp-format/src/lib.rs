//! What the macros, the runtime and the command of klp agree on.
//!
//! Whatever two of them must spell the same way is defined here, once: the lines of a patch's
//! `manifest`, questions about the kernel's `headers`, conditions on it, reserved ids, and the names of link sections and
//! environment variables. A patch is linked with this crate, so outside of these two it has constants only.
#![no_std]

#[cfg(feature = "manifest")]
extern crate alloc;

mod class;
#[cfg(feature = "manifest")]
pub mod condition;
pub mod env;
#[cfg(feature = "manifest")]
pub mod headers;
#[cfg(feature = "manifest")]
pub mod manifest;
mod param;
mod syscalls;
mod table;

pub use class::{Class, ClassKind};
pub use param::ParamKind;
pub use syscalls::Syscalls;
pub use table::Table;

/// The object that is the kernel itself.
pub const VMLINUX: &str = "vmlinux";

/// Name of the module parameter by which an administrator lets a patch replace a higher revision of its series (S20).
pub const ALLOW_DOWNGRADE_PARAMETER: &str = "klp_allow_downgrade";

/// What the name of the function that the kernel calls in place of its own begins with in the source, before the name that
/// the author gave to it.
pub const CALLER_PREFIX: &str = "__klp_";

/// First of the ids that patches may not use: the runtime owns it and all above.
pub const FIRST_RESERVED_ID: u64 = 1 << 63;

/// The state refuses to be removed (S13): a bit of a state's flags.
pub const STATE_BLOCK_DISABLE: u32 = 1 << 0;
