//! Kernel livepatches in Rust: what a patch declares, and what it may call of the kernel.
//!
//! A patch is a `no_std` crate. It starts with [`livepatch!`] and `use klp_runtime::prelude::*`, marks its items with
//! the attributes below, and becomes a module by `cargo klp build`, which loads on a stock kernel with
//! `CONFIG_LIVEPATCH=y`.
//!
//! ```standalone_crate
//! use klp_runtime::prelude::*;
//!
//! livepatch! {
//!     license: "GPL",
//!     authors: ["A. Author <a@example.org>"],
//!     description: "Shows another text in /proc/cmdline",
//! }
//!
//! unsafe extern "C" {
//!     fn seq_puts(m: *mut seq_file, text: *const c_char);
//! }
//!
//! /// Runs in place of the kernel's function.
//! #[klp_func(symbol = "cmdline_proc_show")]
//! unsafe extern "C" fn livepatch_cmdline_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
//!     // `m` is the file that the kernel reads.
//!     unsafe { seq_puts(m, c"this has been live patched\n".as_ptr()) };
//!     0
//! }
//! # fn main() {}
//! ```
//!
//! # What a patch declares
//!
//! | | |
//! | --- | --- |
//! | [`livepatch!`] | the patch: license, authors, whether it replaces all others |
//! | [`#[klp_func]`](macro@klp_func), [`#[klp_syscall]`](macro@klp_syscall) | a function, or a system call, that is redirected |
//! | [`#[klp_state]`](macro@klp_state), [`State`](state::State) | a change of the system, with callbacks and data that outlive the module |
//! | [`#[shadow]`](macro@shadow), [`Shadow`](shadow::Shadow) | a field that is added to a kernel type |
//! | [`#[derive(KlpData)]`](macro@KlpData), [`KlpData`](layout::KlpData) | data that one patch hands to the next |
//! | [`kernel_types!`], [`#[klp_symbols]`](macro@klp_symbols), [`opaque!`] | types of the target kernel; symbols that it does not export; types that the patch sees by reference only |
//! | [`#[klp_object]`](macro@klp_object), [`Object`](object::Object) | the kernel's own callbacks of vmlinux or of a module |
//! | [`#[klp_param]`](macro@klp_param), [`Param`](param::Param) | a module parameter |
//! | [`#[klp_init]`](macro@klp_init), [`#[klp_exit]`](macro@klp_exit), [`PatchSelection`](selection::PatchSelection) | code that runs before the patch is enabled, and before its module is unloaded |
//!
//! # What a patch may call
//!
//! A small and safe set of the kernel's primitives. The documentation of each item says in which context it may be
//! used. All of it works in a patch's own tests, too.
//!
//! | | |
//! | --- | --- |
//! | [`sync`] | `Mutex` and `SpinLock`, for statics and for data of states |
//! | [`work`], [`sysfs`] | work that is done later, and files under `/sys/kernel`; both are stopped with the patch |
//! | [`alloc`], [`list`] | `KBox`, allocation flags, and a list that owns its values |
//! | [`task`], [`time`] | the current task, and the kernel's clock tick |
//! | [`log`], [`error`] | `pr_info!` and its like, and errno values |
//! | [`shadow::raw`] | shadow variables as the kernel's own API has them |
//!
//! # Tests, and the rules
//!
//! The same crate builds for the host, where `cargo check`, `cargo doc` and `cargo test` of a patch run. With the
//! feature `sim` the module `sim` has the kernel's livepatch core there, for tests that load the patch.
//!
//! The rules that the documentation cites, such as [S4](crate::lifecycle#s4), are those of the
//! [state lifecycle](lifecycle).
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
    KlpData, kernel_types, klp_c, klp_exit, klp_func, klp_init, klp_object, klp_param, klp_state,
    klp_symbols, klp_syscall, livepatch, shadow,
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
