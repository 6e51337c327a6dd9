//! The runtime of klp: what a livepatch written in Rust is made of.
//!
//! A patch is a `no_std` crate that starts with [`livepatch!`] and marks its
//! items with [`#[klp_func]`](macro@klp_func), [`#[klp_state]`](macro@klp_state),
//! [`#[shadow]`](macro@shadow) and the other macros. `cargo klp build` makes a
//! module of it that loads on a stock kernel with `CONFIG_LIVEPATCH=y`.
//!
//! The same crate builds for the host, where `cargo check`, `cargo doc` and
//! `cargo test` of a patch run. With the feature `sim`, the module `sim` has the
//! kernel's livepatch core there, for tests that load the patch.
//!
//! Doc comments cite the rules of the [state lifecycle](lifecycle), such as [S4](crate::lifecycle#s4).
#![no_std]

// The macros name this crate by its absolute path, also in its own tests.
extern crate self as klp_runtime;
#[cfg(not(target_os = "none"))]
extern crate std;

mod kernel;
#[cfg(doc)]
#[doc = include_str!("../../docs/lifecycle.md")]
pub mod lifecycle {}
mod module;
mod patch;
pub mod prelude;
#[cfg(all(feature = "sim", not(target_os = "none")))]
pub mod sim;

#[doc(hidden)]
pub mod __private;
#[doc(hidden)]
pub mod engine;
#[cfg(not(target_os = "none"))]
#[cfg_attr(not(feature = "sim"), expect(dead_code, reason = "only the model looks at what happened"))]
mod host;

pub use kernel::{alloc, error, list, log, sync, sysfs, task, time, work};
#[doc(hidden)]
pub use module::abi;
pub use module::selection;
#[cfg(not(target_os = "none"))]
#[doc(hidden)]
pub use module::tables;
pub use patch::{layout, native, object, param, shadow, state, syscall, types};

pub use klp_macros::{
    KlpData, kernel_types, klp_exit, klp_func, klp_init, klp_object, klp_param, klp_state, klp_symbols,
    klp_syscall, livepatch, shadow,
};

/// Whether anything calls the callbacks in the tables: a kernel or the model.
///
/// On the host without the model they are left out, so that what they call of the kernel need not be
/// linked into a patch crate's own tests.
const HAS_CALLERS: bool = cfg!(any(target_os = "none", feature = "sim"));

/// A callback as a table has it.
#[doc(hidden)]
#[macro_export]
macro_rules! __callback {
    ($callback:expr) => {
        if $crate::__private::HAS_CALLERS {
            ::core::option::Option::Some($callback)
        } else {
            ::core::option::Option::None
        }
    };
}
