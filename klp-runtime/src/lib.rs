//! Kernel livepatches in Rust: what a patch declares, and which services of the kernel it may call.
//!
//! A patch is a `no_std` crate. It starts with `use klp_runtime::prelude::*` and [`livepatch!`], and marks its items
//! with the attributes below. `cargo klp build` makes a module from it, which loads on a stock kernel with
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
//! | [`#[klp_c]`](macro@klp_c) | structs and functions that the patch's C files see |
//! | [`#[klp_object]`](macro@klp_object), [`Object`](object::Object) | the kernel's own callbacks of vmlinux or of a module |
//! | [`#[klp_param]`](macro@klp_param), [`Param`](param::Param) | a module parameter |
//! | [`#[klp_init]`](macro@klp_init), [`#[klp_exit]`](macro@klp_exit), [`PatchSelection`](selection::PatchSelection) | code that runs before the patch is enabled, and before its module is unloaded |
//!
//! # What a patch may call
//!
//! Two small sets of the kernel's services. The documentation of each item says in which context it may be used. All of
//! it also works in a patch's own tests. Names are those of the kernel's own Rust where it has the same thing, else
//! those of C.
//!
//! For what the patch owns, with a safe interface:
//!
//! | | |
//! | --- | --- |
//! | [`sync`] | `Mutex` and `SpinLock`, for statics and for state data |
//! | [`work`], [`sysfs`] | work that is done later, and files under `/sys/kernel`; the runtime stops both with the patch |
//! | [`alloc`], [`list`] | `KBox`, `KVBox` and slices of zeros, allocation flags, and a list that owns its values |
//! | [`task`], [`time`] | the current task, and the kernel's clock tick |
//! | [`log`], [`bug`], [`error`] | `pr_info!` and its like, `warn_on!`, errno values, also in place of pointers |
//! | [`uaccess`] | memory of processes |
//! | [`shadow::raw`] | shadow variables as the kernel's own API has them |
//!
//! For the structures of the kernel, by raw pointers to what [`kernel_types!`] declares, at C's cost:
//!
//! | | |
//! | --- | --- |
//! | [`sync::kernel`], [`sync::rcu`] | guards of spinlocks, mutexes, semaphores, sockets, the read side of RCU, and of what is off meanwhile |
//! | [`sync`] | [`read_once`](sync::read_once), [`write_once`](sync::write_once), [`atomic`](sync::atomic), [`Refcount`](sync::Refcount) |
//! | [`interop::list`], [`container_of!`] | lists and chains, plain and under RCU |
//! | [`bits`], [`byteorder`], [`jump_label`] | bits in flags and bitmaps, integers of headers, static keys |
//! | [`percpu`] | memory of which each processor has its own |
//! | [`log`] | `dev_info!`, `netdev_info!` and their like |
//!
//! # Tests, and the rules
//!
//! This crate also builds for the host, so that `cargo check`, `cargo doc` and `cargo test` work in a patch crate. With
//! the feature `sim`, the module `sim` is a model of the kernel's livepatch core, for tests that load the patch.
//!
//! The documentation cites the rules of the [state lifecycle](lifecycle) by number, such as [S4](crate::lifecycle#s4).
#![no_std]

// The macros name this crate by its absolute path, also in its own tests.
extern crate self as klp_runtime;
#[cfg(not(target_os = "none"))]
extern crate std;

mod kernel;
#[cfg(doc)]
#[doc = include_str!("../lifecycle.md")]
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

pub use kernel::{
    alloc, bits, bug, byteorder, error, interop, jump_label, list, log, percpu, sync, sysfs, task, time,
    uaccess, work,
};
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
/// On the host without the model, the tables leave them out, so that the tests of a patch crate need not link the
/// kernel functions that the callbacks call.
const HAS_CALLERS: bool = cfg!(any(target_os = "none", feature = "sim"));

/// A callback as an entry of a table contains it.
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
