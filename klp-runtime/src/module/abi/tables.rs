//! The tables of a patch: what the macros leave in link sections.

use core::ffi::{CStr, c_char, c_int, c_ulong, c_void};
use core::ptr;

use super::{ABI_VERSION, DataLayout, DataSlot};

/// Which other patches a patch replaces once its transition finishes.
///
/// A number and not a flag: there is room for the sets that are discussed for
/// `klp_patch.replace`. A runtime refuses a kind that it does not know.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replace(u32);

impl Replace {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(1);

    /// All others or none.
    #[must_use]
    pub const fn all(all: bool) -> Self {
        if all { Self::ALL } else { Self::NONE }
    }
}

/// The patch is not enabled when it is loaded: [`PatchEntry::flags`].
pub const PATCH_IDLE: u32 = 1 << 0;

/// The patch as a whole: what `livepatch!` leaves in the section `klp_patch`.
#[repr(C)]
#[derive(Debug)]
pub struct PatchEntry {
    /// [`ABI_VERSION`] of the crate that the patch was built with.
    pub abi_version: u32,
    /// [`PATCH_IDLE`] or 0.
    pub flags: u32,
    /// Which others it replaces.
    pub replace: Replace,
    /// The line of cumulative patches that it belongs to, null for none ([S20](crate::lifecycle#s20)).
    pub series: *const c_char,
    /// Its number in the series.
    pub revision: u64,
}

// SAFETY: The pointer is to a constant, never written through.
unsafe impl Sync for PatchEntry {}

impl PatchEntry {
    /// The entry of a patch that belongs to no series.
    #[must_use]
    pub const fn new(replace: bool, enable: bool) -> Self {
        Self {
            abi_version: ABI_VERSION,
            flags: if enable { 0 } else { PATCH_IDLE },
            replace: Replace::all(replace),
            series: ptr::null(),
            revision: 0,
        }
    }

    /// The entry of revision `revision` in the series ([S20](crate::lifecycle#s20)).
    #[must_use]
    pub const fn in_series(mut self, series: &'static CStr, revision: u64) -> Self {
        self.series = series.as_ptr();
        self.revision = revision;
        self
    }
}

/// One redirected function: what `#[klp_func]` leaves in the section `klp_funcs`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FuncEntry {
    /// Name of the object that has the function; null for vmlinux.
    pub object: *const c_char,
    /// Name of the function that is redirected.
    pub symbol: *const c_char,
    /// The function that runs instead; null in a build for the host.
    pub replacement: *const c_void,
    /// Which of the symbols of that name, counted from 1; 0 where the name is unique.
    pub sympos: c_ulong,
}

// SAFETY: The pointers are to constants, never written through.
unsafe impl Sync for FuncEntry {}

/// What a state callback is told; see [`StateContext`](crate::state::StateContext).
#[repr(C)]
#[derive(Debug)]
pub struct RawStateContext {
    /// Name of the patch whose implementation is called.
    pub patch: *const c_char,
    /// The state, as that patch lists it.
    pub state: *const StateEntry,
}

/// A callback that may fail. Returns 0 or a negative errno.
pub type FallibleCallback = unsafe extern "C" fn(*const RawStateContext, *mut c_void) -> c_int;

/// A callback that may not fail.
pub type Callback = unsafe extern "C" fn(*const RawStateContext, *mut c_void);

/// `take_over`: the last argument is the version that is taken over from.
pub type TakeOverCallback = unsafe extern "C" fn(*const RawStateContext, *mut c_void, u32);

/// `migrate`: the old data, and storage for the new, uninitialised. Returns 0 or a negative errno,
/// after which the storage holds nothing.
pub type MigrateCallback =
    unsafe extern "C" fn(*const RawStateContext, old: *const c_void, new: *mut c_void) -> c_int;

/// Drops a state's data in place.
pub type DropData = unsafe extern "C" fn(*mut c_void);

/// From what a state's data can be made where they had another layout ([S22](crate::lifecycle#s22)).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The state's version that has the old data; it counts where `migrate` is there.
    pub version: u32,
    /// The layout of the old data.
    pub layout: DataLayout,
    /// Makes the new data of the old; none where the patch comes from one layout only, its own.
    pub migrate: Option<MigrateCallback>,
}

impl Migration {
    /// Data of another layout are refused ([S1](crate::lifecycle#s1)).
    pub const NONE: Self =
        Self { version: 0, layout: DataLayout { size: 0, align: 0, fingerprint: 0 }, migrate: None };
}

/// One state: what `#[klp_state]` leaves in the section `klp_states`.
///
/// The data pointer of every callback is to storage of the size of
/// [`layout`](Self::layout), uninitialised when `pre_patch` is called,
/// initialised by it, valid until after `post_unpatch` ([S10](crate::lifecycle#s10)).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StateEntry {
    /// The state's id, the same in all patches that provide it.
    pub id: u64,
    /// The patch's version of the state.
    pub version: u32,
    /// [`STATE_BLOCK_DISABLE`](super::STATE_BLOCK_DISABLE) or 0.
    pub flags: u32,
    /// The state's name: one id under two names is refused ([S1](crate::lifecycle#s1)).
    pub name: *const c_char,
    /// The state's data.
    pub layout: DataLayout,
    /// By what this module's code reaches the state.
    pub slot: *const DataSlot,
    /// Called when the state is introduced, before any function is redirected.
    /// None where the data needs no making: it has size 0.
    pub pre_patch: Option<FallibleCallback>,
    /// Called when the state is introduced, after every task runs the new code.
    pub post_patch: Option<Callback>,
    /// Called when the state is removed, before any function is switched back.
    pub pre_unpatch: Option<Callback>,
    /// Called when the state is removed, after no task runs the removed code.
    pub post_unpatch: Option<Callback>,
    /// Called when the state continues and its version grows.
    pub take_over: Option<TakeOverCallback>,
    /// Drops the data; none where dropping does nothing.
    pub drop_data: Option<DropData>,
    /// Called instead of `take_over`, and earlier, where the data had another layout
    /// ([S22](crate::lifecycle#s22)).
    pub from: Migration,
    /// Where the state stands in the source: in a module the compiler keeps that order, on the host
    /// it does not.
    #[cfg(not(target_os = "none"))]
    pub position: &'static core::panic::Location<'static>,
}

// SAFETY: The pointers are to constants and to a `DataSlot`, which is `Sync`.
unsafe impl Sync for StateEntry {}

/// The destructor may sleep ([S9](crate::lifecycle#s9)): [`ShadowEntry::flags`].
pub const SHADOW_SLEEPABLE: u32 = 1 << 0;

/// A destructor of a shadow variable: its object and its data, as the kernel's
/// `klp_shadow_dtor_t` gets them.
pub type ShadowDestructor = unsafe extern "C" fn(*mut c_void, *mut c_void);

/// One shadow variable: what `#[shadow]` leaves in the section `klp_shadows`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ShadowEntry {
    /// The id under which the kernel's shadow store has it.
    pub id: u64,
    /// Id of the state that it lives as long as ([S9](crate::lifecycle#s9)).
    pub state: u64,
    /// [`SHADOW_SLEEPABLE`] or 0.
    pub flags: u32,
    /// The type's name.
    pub name: *const c_char,
    /// Name of the type of the objects that it hangs on.
    pub of: *const c_char,
    /// Name of the module whose objects they are, and with which it goes; null for none.
    pub object: *const c_char,
    /// The type's layout.
    pub layout: DataLayout,
    /// Drops one; none where dropping does nothing. Of a sleepable one the data
    /// pointer is to a [`SleepableBox`](super::SleepableBox)'s payload.
    pub destroy: Option<ShadowDestructor>,
}

// SAFETY: The pointers are to constants, never written through.
unsafe impl Sync for ShadowEntry {}
