//! What the macros' output names. Not for patches: it changes without notice.

pub const HAS_CALLERS: bool = crate::HAS_CALLERS;
pub use crate::abi::{
    ABI_VERSION, DataSlot, FIRST_RESERVED_ID, FuncEntry, Migration, PatchEntry, ShadowEntry, StateEntry,
};
pub use crate::layout::{Fingerprint, KlpData};
pub use crate::module::selection::{ExitHookWrittenTwice, HookEntry, InitHookWrittenTwice};
pub use crate::native::NativeEntry;
pub use crate::object::{
    DeclaredObject, ObjectEntry, object_post_patch, object_post_unpatch, object_pre_patch, object_pre_unpatch,
};
pub use crate::param::{ParamType, Parameter};
pub use crate::patch::signature::{AnyType, TypeClass};
pub use crate::shadow::{OwnsState, derived_id};
pub use crate::state::{
    BLOCK_DISABLE, DeclaredState, Migrate, post_patch, post_unpatch, pre_patch, pre_unpatch, take_over,
};
pub use crate::syscall::{SyscallResult, arguments as syscall_arguments};
pub use core::{
    self,
    arch::global_asm,
    // Its name is in the error of an item that stands elsewhere.
    arch::global_asm as this_item_belongs_in_a_module_not_in_a_function_or_impl,
};

// A second implementation is an error, which has the trait's name: it says what is wrong.

/// Implemented for the patch once for each state id in use.
pub trait StateIdUsedTwice<const ID: u64> {}
/// Implemented for the patch once for each shadow variable id in use.
pub trait ShadowVariableDeclaredTwice<const ID: u64> {}
/// Implemented for the patch once for each native state id in use.
pub trait NativeStateIdUsedTwice<const ID: u64> {}
/// Implemented for the patch once for each object with callbacks.
pub trait ObjectDeclaredTwice<const KEY: u64> {}
/// Implemented for the patch once for each module parameter.
pub trait ParameterDeclaredTwice<const KEY: u64> {}
/// Implemented for the patch once for each object, symbol and position that is redirected.
pub trait FunctionRedirectedTwice<const KEY: u64> {}

/// `#[shadow(…, unsafe(object = …))]`: the module whose objects have the variable.
///
/// # Safety
///
/// No object with the variable is used any more once the module is gone.
#[must_use]
pub const unsafe fn objects_of(module: &'static core::ffi::CStr) -> Option<&'static core::ffi::CStr> {
    Some(module)
}

/// The key of [`ObjectDeclaredTwice`] and [`ParameterDeclaredTwice`].
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

/// The key of [`FunctionRedirectedTwice`]. Position 0 is the only symbol of its name, so also the first.
#[must_use]
pub const fn func_key(object: &str, symbol: &str, sympos: u64) -> u64 {
    let sympos = if sympos == 0 { 1 } else { sympos };
    Fingerprint::new("func").text(object).text(symbol).number(sympos).finish::<()>()
}

/// `container_of!`: compiles where the pointer is to what the field is.
#[inline(always)]
pub fn assert_same_target<T>(_pointer: *const T, _field: *const T) {}
