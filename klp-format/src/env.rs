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

/// How many bytes of padding precede each function of the kernel that the build is for, in decimal. Where it is set,
/// functions that the kernel calls have room for a call of ftrace at their start ([`crate::FTRACE_CALL`]).
///
/// `cargo klp` sets it for rustc, the macros read it.
pub const PADDING: &str = "KLP_PADDING";

/// The package of the patch that is compiled, of which all other packages are libraries.
///
/// `cargo klp` sets it for rustc, the macros read it.
pub const PATCH: &str = "KLP_PATCH";

/// Flags for each cargo that works on a patch, such as `--locked`, with white space between them.
///
/// `cargo klp build` sets it for the steps of Kbuild, which read it; with plain make, a user sets it.
pub const CARGO_FLAGS: &str = "KLP_CARGO_FLAGS";

/// The directory of the cache, in place of the user's own.
///
/// A user sets it, `cargo klp` and `kernel_types!` read it.
pub const CACHE: &str = "KLP_CACHE";
