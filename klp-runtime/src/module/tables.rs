//! The tables of a patch crate, on the host.

use core::ffi::CStr;
use core::{ptr, slice};

use crate::abi::{FuncEntry, PatchEntry, ShadowEntry, StateEntry};
use crate::module::selection::HookEntry;
use crate::native::NativeEntry;
use crate::object::ObjectEntry;

/// What the macros left of one patch crate: what its function `livepatch` returns.
///
/// In a build for the host each crate has its own tables, so that one test may
/// have several patches, or several versions of one.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// The crate's name: that of its module.
    pub name: &'static CStr,
    /// The patch as a whole.
    pub patch: &'static PatchEntry,
    /// The functions that it redirects.
    pub funcs: &'static [FuncEntry],
    /// The states that it provides.
    pub states: &'static [StateEntry],
    /// The shadow variables that it declares.
    pub shadows: &'static [ShadowEntry],
    /// The objects with callbacks.
    pub objects: &'static [ObjectEntry],
    /// The states of the kernel's own table.
    pub natives: &'static [NativeEntry],
    /// The hooks.
    pub hooks: &'static [HookEntry],
}

/// Where the linker put the tables of a crate: start and end of each, both null for an empty one.
#[doc(hidden)]
#[repr(C)]
#[derive(Debug)]
pub struct Bounds {
    patch: [*const PatchEntry; 2],
    funcs: [*const FuncEntry; 2],
    states: [*const StateEntry; 2],
    shadows: [*const ShadowEntry; 2],
    objects: [*const ObjectEntry; 2],
    natives: [*const NativeEntry; 2],
    hooks: [*const HookEntry; 2],
}

// SAFETY: Addresses of constants.
unsafe impl Sync for Bounds {}

impl Tables {
    /// The tables within the bounds.
    ///
    /// # Safety
    ///
    /// The bounds are the linker's, and `livepatch!` has left its entry.
    #[doc(hidden)]
    #[must_use]
    pub unsafe fn within(name: &'static CStr, bounds: &'static Bounds) -> Self {
        // SAFETY: The bounds are the linker's, each those of one table, and there is a patch entry.
        unsafe {
            Self {
                name,
                patch: &*bounds.patch[0],
                funcs: table(bounds.funcs),
                states: table(bounds.states),
                shadows: table(bounds.shadows),
                objects: table(bounds.objects),
                natives: table(bounds.natives),
                hooks: table(bounds.hooks),
            }
        }
    }
}

/// The entries between two addresses.
///
/// # Safety
///
/// Both are null, or the linker has put entries of this type between them, side by side.
unsafe fn table<T>([start, stop]: [*const T; 2]) -> &'static [T] {
    let start = if start.is_null() { ptr::NonNull::dangling().as_ptr() } else { start.cast_mut() };
    let bytes = if stop.is_null() { 0 } else { stop as usize - start as usize };
    // SAFETY: As many entries stand there, or none.
    unsafe { slice::from_raw_parts(start, bytes / size_of::<T>()) }
}
