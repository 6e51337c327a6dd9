//! Environment variables that one part of klp sets and another one reads.

/// The file with the BTF of the kernel that the build is for; empty where that kernel has none.
///
/// `cargo klp` sets it for rustc, `kernel_types!` reads it.
pub const BTF: &str = "KLP_BTF";

/// The command that finds the types of a module, to which the module's name is added, or that answers a request
/// about headers: words with [`COMMAND_SEPARATOR`] between them.
///
/// `cargo klp` sets it for rustc, `kernel_types!` runs it.
pub const TYPES: &str = "KLP_TYPES";

/// What separates the words of [`TYPES`]; cargo separates encoded flags the same way.
pub const COMMAND_SEPARATOR: char = '\x1f';

/// The answers to the conditions on the kernel that the crate has, as [`crate::condition::write_answers`] writes them.
///
/// `cargo klp` sets it for rustc, `kernel_types!` reads it. Without it, none holds.
pub const CONDITIONS: &str = "KLP_CONDITIONS";

/// The room for ftrace of functions that the kernel calls: how many no-operations precede them, and with how many they
/// begin, as rustc counts them. Two decimal numbers with a comma between them.
///
/// `cargo klp` sets it for rustc, the macros read it.
pub const FTRACE_ROOM: &str = "KLP_FTRACE_ROOM";

/// The architecture of the kernel that the build is for, as [`crate::Syscalls::of`] knows it.
///
/// `cargo klp` sets it for rustc, the macros read it; without it, it is that of the machine.
pub const ARCH: &str = "KLP_ARCH";

/// The package of the patch that is compiled, of which all other packages are libraries.
///
/// `cargo klp` sets it for rustc, the macros read it.
pub const PATCH: &str = "KLP_PATCH";

/// What the rustc says of its version that a patch with the target's `kernel` crate is compiled by; not set for others.
///
/// `cargo klp` sets it for rustc, the macros read it.
pub const KERNEL_CRATE: &str = "KLP_KERNEL_CRATE";

/// Flags for each cargo that works on a patch, such as `--locked`, with white space between them.
///
/// `cargo klp build` sets it for the steps of Kbuild, which read it; with plain make, a user sets it.
pub const CARGO_FLAGS: &str = "KLP_CARGO_FLAGS";

/// The directory of the cache, in place of the user's own.
///
/// A user sets it, `cargo klp` and `kernel_types!` read it.
pub const CACHE: &str = "KLP_CACHE";
