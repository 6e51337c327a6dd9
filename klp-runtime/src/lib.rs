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
//! The rules of the state lifecycle that doc comments cite (S1 to S16, L1 to
//! L16) are those of the project's lifecycle page, kept in `engine`.
#![no_std]

// The macros name this crate by its absolute path, also in its own tests.
extern crate self as klp_runtime;
#[cfg(not(target_os = "none"))]
extern crate std;

pub mod abi;
pub mod alloc;
pub mod builder;
#[cfg(any(feature = "sim", target_os = "none"))]
mod choose;
mod describe;
pub mod engine;
pub mod error;
pub mod layout;
pub mod list;
pub mod log;
pub mod native;
pub mod object;
pub mod param;
#[cfg(any(feature = "sim", target_os = "none"))]
mod running;
pub mod shadow;
pub mod state;
pub mod sync;
mod sys;
pub mod syscall;
pub mod sysfs;
pub mod task;
pub mod time;
pub mod types;
pub mod work;

#[cfg(not(target_os = "none"))]
#[cfg_attr(not(feature = "sim"), expect(dead_code, reason = "only the model looks at what happened"))]
mod host;
#[cfg(all(feature = "sim", not(target_os = "none")))]
pub mod sim;
#[cfg(not(target_os = "none"))]
pub mod tables;

#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod panic;

pub use klp_macros::{
    KlpData, kernel_types, klp_exit, klp_func, klp_init, klp_object, klp_param, klp_state, klp_symbols,
    klp_syscall, livepatch, shadow,
};

/// What a patch needs at hand: `use klp_runtime::prelude::*;`.
pub mod prelude {
    pub use core::ffi::{
        CStr, c_char, c_int, c_long, c_longlong, c_short, c_uchar, c_uint, c_ulong, c_ulonglong, c_ushort,
        c_void,
    };

    pub use crate::alloc::{GFP_ATOMIC, GFP_KERNEL, GFP_NOFS, GFP_NOIO, GFP_NOWAIT, Gfp, KBox};
    pub use crate::builder::PatchBuilder;
    pub use crate::error::{
        E2BIG, EACCES, EAGAIN, EBUSY, EEXIST, EFAULT, EINVAL, EIO, ENODEV, ENOENT, ENOMEM, ENOSPC, ENOSYS,
        EOPNOTSUPP, EPERM, ERANGE, Error, Result, to_result,
    };
    pub use crate::layout::{KernelPtr, KlpData};
    pub use crate::native::NativeState;
    pub use crate::object::{ModuleState, Object, ObjectContext};
    pub use crate::param::{CharP, HexInt, InvBool, Param, ParamArray};
    pub use crate::shadow::Shadow;
    pub use crate::state::{State, StateContext};
    pub use crate::types::{device, file, inode, module, net_device, seq_file, sk_buff, task_struct};
    pub use crate::{opaque, pr_alert, pr_crit, pr_debug, pr_emerg, pr_err, pr_info, pr_notice, pr_warn};
    pub use klp_macros::{
        KlpData, kernel_types, klp_exit, klp_func, klp_init, klp_object, klp_param, klp_state, klp_symbols,
        klp_syscall, livepatch, shadow,
    };
}

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

/// What the macros' output names. Not for patches: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub const HAS_CALLERS: bool = crate::HAS_CALLERS;
    pub use crate::abi::{
        ABI_VERSION, DataSlot, FIRST_RESERVED_ID, FuncEntry, PatchEntry, ShadowEntry, StateEntry,
    };
    pub use crate::builder::{Exit, HookEntry, Init};
    pub use crate::describe::{Described, OfAnyKind};
    pub use crate::layout::{Fingerprint, KlpData};
    pub use crate::native::NativeEntry;
    pub use crate::object::{
        ObjectEntry, object_post_patch, object_post_unpatch, object_pre_patch, object_pre_unpatch,
    };
    pub use crate::param::{ParamType, Parameter};
    pub use crate::shadow::derived_id;
    pub use crate::state::{BLOCK_DISABLE, post_patch, post_unpatch, pre_patch, pre_unpatch, take_over};
    pub use crate::syscall::{SyscallResult, arguments as syscall_arguments};
    pub use core::{
        self,
        arch::global_asm,
        // Its name is in the error of an item that stands elsewhere.
        arch::global_asm as this_item_belongs_in_a_module_not_in_a_function_or_impl,
    };

    /// Implemented for the patch once for each state id in use: a second time is an error.
    pub trait DuplicateStateId<const ID: u64> {}
    /// Implemented for the patch once for each shadow variable id in use.
    pub trait DuplicateShadowId<const ID: u64> {}
    /// Implemented for the patch once for each native state id in use.
    pub trait DuplicateNativeId<const ID: u64> {}
    /// Implemented for the patch once for each object with callbacks.
    pub trait DuplicateObject<const KEY: u64> {}
    /// Implemented for the patch once for each module parameter.
    pub trait DuplicateParam<const KEY: u64> {}
    /// Implemented for the patch once for each object, symbol and position that is redirected.
    pub trait DuplicateFunc<const KEY: u64> {}

    /// The key of [`DuplicateObject`] and [`DuplicateParam`].
    #[must_use]
    pub const fn name_key(name: &str) -> u64 {
        Fingerprint::new("name").text(name).finish::<()>()
    }

    /// What stands behind a call keeps it from being made a jump, with which the caller's frame would be
    /// gone while the callee runs.
    #[inline(always)]
    pub fn stay_on_the_stack() {
        // SAFETY: Nothing is executed.
        unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) };
    }

    /// The key of [`DuplicateFunc`]. Position 0 is the only symbol of its name, so also the first.
    #[must_use]
    pub const fn func_key(object: &str, symbol: &str, sympos: u64) -> u64 {
        let sympos = if sympos == 0 { 1 } else { sympos };
        Fingerprint::new("func").text(object).text(symbol).number(sympos).finish::<()>()
    }
}
