//! Everything that crosses modules, `#[repr(C)]` and versioned.
//!
//! Two patches may come from different compilers and different versions of
//! this crate, and still hand states to each other. What one of them reads of
//! the other's memory is defined here and nowhere else, and every call between
//! them is `extern "C"`. A change of anything in this file changes
//! [`ABI_VERSION`].

use core::ffi::{c_char, c_int, c_ulong, c_void};
use core::ptr;

/// The version of the tables in this file.
///
/// It is also the version of the reserved entry ([`RESERVED_STATE_ID`]) that
/// each patch lists in the kernel's own `klp_patch.states`, so that the kernel
/// itself refuses a cumulative patch with an older table ABI (S14).
pub const ABI_VERSION: u32 = 2;

/// First of the ids that patches may not use: it and all above are the runtime's.
pub const FIRST_RESERVED_ID: u64 = 1 << 63;

/// Id of the entry that each patch lists in the kernel's `klp_patch.states` (S14).
pub const RESERVED_STATE_ID: u64 = FIRST_RESERVED_ID;

/// Id of the shadow variable of the NULL object that holds the [`Registry`].
pub const REGISTRY_SHADOW_ID: u64 = FIRST_RESERVED_ID + 1;

/// What [`Registry::magic`] and [`PatchNode::magic`] hold: "klp-rust" in ASCII.
pub const MAGIC: u64 = u64::from_be_bytes(*b"klp-rust");

/// Size, alignment and fingerprint of a type, as two modules compare them (S1).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataLayout {
    /// Size in bytes.
    pub size: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// [`KlpData::FINGERPRINT`](crate::layout::KlpData::FINGERPRINT).
    pub fingerprint: u64,
}

impl DataLayout {
    /// The layout of `T`.
    #[must_use]
    pub const fn of<T: crate::layout::KlpData>() -> Self {
        Self { size: size_of::<T>(), align: align_of::<T>(), fingerprint: T::FINGERPRINT }
    }
}

/// The patch as a whole: what `livepatch!` leaves in the section `klp_patch`.
#[repr(C)]
#[derive(Debug)]
pub struct PatchEntry {
    /// [`ABI_VERSION`] of the crate that the patch was built with.
    pub abi_version: u32,
    /// [`PATCH_REPLACE`] and [`PATCH_IDLE`].
    pub flags: u32,
}

impl PatchEntry {
    /// The entry of a patch.
    #[must_use]
    pub const fn new(replace: bool, enable: bool) -> Self {
        let replace = if replace { PATCH_REPLACE } else { 0 };
        Self { abi_version: ABI_VERSION, flags: if enable { replace } else { replace | PATCH_IDLE } }
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

/// Drops a state's data in place.
pub type DropData = unsafe extern "C" fn(*mut c_void);

/// The state refuses to be removed (S13): [`StateEntry::flags`].
pub const STATE_BLOCK_DISABLE: u32 = 1 << 0;

/// One state: what `#[klp_state]` leaves in the section `klp_states`.
///
/// The data pointer of every callback is to [`LiveState`]'s data: storage of
/// the size of [`layout`](Self::layout), uninitialised when `pre_patch` is
/// called, initialised by it, valid until after `post_unpatch` (S10).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StateEntry {
    /// The state's id, the same in all patches that provide it.
    pub id: u64,
    /// The patch's version of the state.
    pub version: u32,
    /// [`STATE_BLOCK_DISABLE`] or 0.
    pub flags: u32,
    /// The state's name: one id under two names is refused (S1).
    pub name: *const c_char,
    /// The state's data.
    pub layout: DataLayout,
    /// Where the engine leaves the address of the state's data for this module's code.
    pub slot: *const DataSlot,
    /// Called when the state is introduced, before any function is redirected.
    /// Null where the data needs no making: it has size 0.
    pub pre_patch: Option<FallibleCallback>,
    /// Called when the state is introduced, after every task runs the new code.
    pub post_patch: Option<Callback>,
    /// Called when the state is removed, before any function is switched back.
    pub pre_unpatch: Option<Callback>,
    /// Called when the state is removed, after no task runs the removed code.
    pub post_unpatch: Option<Callback>,
    /// Called when the state continues and its version grows.
    pub take_over: Option<TakeOverCallback>,
    /// Drops the data; null where dropping does nothing.
    pub drop_data: Option<DropData>,
    /// Where the state stands in the source: in a module the compiler keeps that order, on the host
    /// it does not.
    #[cfg(not(target_os = "none"))]
    pub position: &'static core::panic::Location<'static>,
}

// SAFETY: The pointers are to constants and to a `DataSlot`, which is `Sync`.
unsafe impl Sync for StateEntry {}

/// Holds the address of a live state's data, null while the state is not live.
#[repr(transparent)]
#[derive(Debug)]
pub struct DataSlot(core::sync::atomic::AtomicPtr<c_void>);

impl DataSlot {
    /// An empty slot.
    #[must_use]
    pub const fn new() -> Self {
        Self(core::sync::atomic::AtomicPtr::new(ptr::null_mut()))
    }

    /// The address of the data, null while the state is not live.
    #[inline]
    #[must_use]
    pub fn get(&self) -> *mut c_void {
        crate::module::sys::load_slot(&self.0)
    }

    /// Publishes the address of initialised data, or takes it back with null.
    pub(crate) fn set(&self, data: *mut c_void) {
        crate::module::sys::store_slot(&self.0, data);
    }
}

impl Default for DataSlot {
    fn default() -> Self {
        Self::new()
    }
}

/// The destructor may sleep (S9): [`ShadowEntry::flags`].
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
    /// Id of the state that it lives as long as (S9).
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
    /// Drops one; null where dropping does nothing. Of a sleepable one the data
    /// pointer is to a [`SleepableBox`]'s payload.
    pub destroy: Option<ShadowDestructor>,
}

// SAFETY: The pointers are to constants, never written through.
unsafe impl Sync for ShadowEntry {}

/// What a sleepable shadow variable points to: the payload follows, at offset
/// [`SleepableBox::PAYLOAD_OFFSET`].
#[repr(C)]
#[derive(Debug)]
pub struct SleepableBox {
    /// Links the boxes whose destructor is still to run.
    pub next: *mut SleepableBox,
    /// The object that the variable hung on.
    pub obj: *mut c_void,
}

impl SleepableBox {
    /// Where the payload starts, in bytes.
    pub const PAYLOAD_OFFSET: usize = size_of::<Self>();
}

/// The patch replaces all others: [`PatchEntry::flags`], [`PatchNode::flags`].
pub const PATCH_REPLACE: u32 = 1 << 0;

/// The patch is not enabled when it is loaded: [`PatchEntry::flags`].
pub const PATCH_IDLE: u32 = 1 << 1;

/// What a patch that is on the list is doing: [`PatchNode::phase`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not on the list.
    Idle = 0,
    /// Its transition to patched runs.
    Enabling = 1,
    /// Its transition to patched is finished.
    Enabled = 2,
    /// Its transition to unpatched runs.
    Disabling = 3,
    /// Disabled, but some of its states refuse to be removed (S13).
    Held = 4,
}

/// A patch on the list, in its own module's memory.
///
/// Guarded by the kernel's livepatch mutex, like all that follows.
#[repr(C)]
#[derive(Debug)]
pub struct PatchNode {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_VERSION`] of the module.
    pub abi_version: u32,
    /// [`PATCH_REPLACE`] or 0.
    pub flags: u32,
    /// What the patch is doing.
    pub phase: Phase,
    /// The patch enabled before this one.
    pub older: *mut PatchNode,
    /// The patch enabled after this one.
    pub newer: *mut PatchNode,
    /// The module, for the kernel's module API.
    pub module: *mut c_void,
    /// The module's name.
    pub name: *const c_char,
    /// The states that the patch provides, in table order.
    pub states: *const StateEntry,
    /// How many.
    pub nr_states: usize,
    /// The shadow variables that the patch knows.
    pub shadows: *const ShadowEntry,
    /// How many.
    pub nr_shadows: usize,
    /// One claim for each state, in table order; allocated while the patch is on the list.
    pub claims: *mut Claim,
    /// The list that the patch is on.
    pub registry: *mut Registry,
}

impl PatchNode {
    /// A patch that is not on the list, without a name and tables.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            magic: MAGIC,
            abi_version: ABI_VERSION,
            flags: 0,
            phase: Phase::Idle,
            older: ptr::null_mut(),
            newer: ptr::null_mut(),
            module: ptr::null_mut(),
            name: ptr::null(),
            states: ptr::null(),
            nr_states: 0,
            shadows: ptr::null(),
            nr_shadows: 0,
            claims: ptr::null_mut(),
            registry: ptr::null_mut(),
        }
    }
}

impl Default for PatchNode {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: All access is under the kernel's livepatch mutex.
unsafe impl Sync for PatchNode {}

/// The list of patches and the live states: the shadow variable [`REGISTRY_SHADOW_ID`] of the NULL object.
#[repr(C)]
#[derive(Debug)]
pub struct Registry {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_VERSION`] of the module that made it.
    pub abi_version: u32,
    /// The patch enabled last.
    pub newest: *mut PatchNode,
    /// The live states, by a hash of their ids.
    pub buckets: *mut *mut LiveState,
    /// How many buckets there are; none yet before the first state.
    pub nr_buckets: usize,
    /// How many states are live.
    pub nr_live: usize,
}

/// A state that is live, outside any module's memory (S10); its data follow it,
/// at offset [`LiveState::DATA_OFFSET`].
#[repr(C)]
#[derive(Debug)]
pub struct LiveState {
    /// The next one of the same bucket.
    pub next: *mut LiveState,
    /// The state's id.
    pub id: u64,
    /// The claims of the patches that provide it, newest first: the head is the
    /// owner's, or that of the patch that is being enabled.
    pub claims: *mut Claim,
    /// The layout that its data were made with.
    pub layout: DataLayout,
}

impl LiveState {
    /// Where the data start, in bytes.
    pub const DATA_OFFSET: usize = size_of::<Self>();
}

/// One of the shadow variables that a claim's patch declares for the state.
#[repr(C)]
#[derive(Debug)]
pub struct ShadowLink {
    /// The next one of the same claim.
    pub next: *mut ShadowLink,
    /// The variable as the patch lists it.
    pub entry: *const ShadowEntry,
}

/// The claim has introduced its state in the transition that runs: [`Claim::flags`].
pub const CLAIM_INTRODUCED: u32 = 1 << 0;

/// The claim's `pre_unpatch` was called in the transition that runs: [`Claim::flags`].
pub const CLAIM_REMOVING: u32 = 1 << 1;

/// The claim's state refused to be removed in the transition that runs (S13): [`Claim::flags`].
pub const CLAIM_HELD: u32 = 1 << 2;

/// The state's data are made: [`Claim::flags`].
pub const CLAIM_MADE: u32 = 1 << 3;

/// That a patch provides a state. In an array of the patch's, outside its module's memory.
#[repr(C)]
#[derive(Debug)]
pub struct Claim {
    /// The state; null once the patch has given the claim up.
    pub live: *mut LiveState,
    /// The claim of the patch that was enabled before and provides the same state.
    pub older: *mut Claim,
    /// The patch.
    pub patch: *mut PatchNode,
    /// The state as the patch lists it.
    pub entry: *const StateEntry,
    /// The shadow variables that the patch declares for it.
    pub shadows: *mut ShadowLink,
    /// [`CLAIM_INTRODUCED`], [`CLAIM_REMOVING`], [`CLAIM_HELD`], [`CLAIM_MADE`].
    pub flags: u32,
}
