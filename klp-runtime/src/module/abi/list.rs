//! The list of patches, the live states and the claims on them.
//!
//! All of it is guarded by the kernel's livepatch mutex.

use core::ffi::{c_char, c_void};
use core::ptr;

use super::{ABI_VERSION, DataLayout, MAGIC, Replace, ShadowEntry, StateEntry};

/// What a patch that is on the list is doing: [`PatchNode::phase`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase(u32);

impl Phase {
    /// Not on the list.
    pub const IDLE: Self = Self(0);
    /// Its transition to patched runs.
    pub const ENABLING: Self = Self(1);
    /// Its transition to patched is finished.
    pub const ENABLED: Self = Self(2);
    /// Its transition to unpatched runs.
    pub const DISABLING: Self = Self(3);
    /// Disabled, but some of its states refuse to be removed ([S13](crate::lifecycle#s13)).
    pub const HELD: Self = Self(4);

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// The administrator lets the patch replace a higher revision of its series ([S20](crate::lifecycle#s20)):
/// [`PatchNode::flags`].
///
/// That is the module parameter [`ALLOW_DOWNGRADE_PARAMETER`], which every patch with a series has.
pub const PATCH_ALLOW_DOWNGRADE: u32 = 1 << 1;

/// Name of the module parameter behind [`PATCH_ALLOW_DOWNGRADE`].
pub const ALLOW_DOWNGRADE_PARAMETER: &str = klp_format::ALLOW_DOWNGRADE_PARAMETER;

/// Stops what runs on its own in a patch, waits for its end, and lets nothing of it be started
/// again ([S17](crate::lifecycle#s17)). A second call does nothing.
pub type Stop = unsafe extern "C" fn(*mut PatchNode);

/// A patch on the list, in its own module's memory.
#[repr(C)]
#[derive(Debug)]
pub struct PatchNode {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_VERSION`] of the module.
    pub abi_version: u32,
    /// The size of this structure in the module, in bytes.
    pub size: u32,
    /// The size of an entry of [`states`](Self::states), in bytes.
    pub state_size: u32,
    /// The size of an entry of [`shadows`](Self::shadows), in bytes.
    pub shadow_size: u32,
    /// The size of an entry of [`claims`](Self::claims), in bytes.
    pub claim_size: u32,
    /// [`PATCH_ALLOW_DOWNGRADE`] or 0.
    pub flags: u32,
    /// Which others it replaces.
    pub replace: Replace,
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
    /// The line of cumulative patches that it belongs to, null for none ([S20](crate::lifecycle#s20)).
    pub series: *const c_char,
    /// Its number in the series.
    pub revision: u64,
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
    /// The kernel's own mark that tasks may still run the patch's code though it was disabled or
    /// replaced, `klp_patch.forced` ([S21](crate::lifecycle#s21)); null for never.
    pub forced: *const bool,
    /// Stops what runs on its own in the patch; none where nothing does ([S17](crate::lifecycle#s17)).
    pub stop: Option<Stop>,
}

impl PatchNode {
    /// A patch that is not on the list, without a name and tables.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            magic: MAGIC,
            abi_version: ABI_VERSION,
            size: size_of::<Self>() as u32,
            state_size: size_of::<StateEntry>() as u32,
            shadow_size: size_of::<ShadowEntry>() as u32,
            claim_size: size_of::<Claim>() as u32,
            flags: 0,
            replace: Replace::NONE,
            phase: Phase::IDLE,
            older: ptr::null_mut(),
            newer: ptr::null_mut(),
            module: ptr::null_mut(),
            name: ptr::null(),
            series: ptr::null(),
            revision: 0,
            states: ptr::null(),
            nr_states: 0,
            shadows: ptr::null(),
            nr_shadows: 0,
            claims: ptr::null_mut(),
            registry: ptr::null_mut(),
            forced: ptr::null(),
            stop: None,
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

/// The list of patches and the live states: the shadow variable
/// [`REGISTRY_SHADOW_ID`](super::REGISTRY_SHADOW_ID) of the NULL object.
#[repr(C)]
#[derive(Debug)]
pub struct Registry {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_VERSION`] of the module that made it.
    pub abi_version: u32,
    /// The size of this structure there, in bytes.
    pub size: u32,
    /// The patch enabled last.
    pub newest: *mut PatchNode,
    /// The live states, by a hash of their ids.
    pub buckets: *mut *mut LiveState,
    /// How many buckets there are; none yet before the first state.
    pub nr_buckets: usize,
    /// How many states are in them.
    pub nr_live: usize,
}

/// The state refuses to be removed ([S13](crate::lifecycle#s13)): [`LiveState::flags`].
pub const LIVE_BLOCKED: u32 = 1 << 0;

/// A state that is live, and its data, outside any module's memory ([S10](crate::lifecycle#s10)).
#[repr(C)]
#[derive(Debug)]
pub struct LiveState {
    /// The next one of the same bucket.
    pub next: *mut LiveState,
    /// The state's id.
    pub id: u64,
    /// The size of this structure in the module that made it, in bytes.
    pub size: u32,
    /// The highest version that a patch had which provided the state since it was introduced
    /// ([S19](crate::lifecycle#s19)).
    pub version: u32,
    /// [`LIVE_BLOCKED`] or 0.
    pub flags: u32,
    /// The claims of the patches that provide it, newest first: the head is the
    /// owner's, or that of the patch that is being enabled.
    pub claims: *mut Claim,
    /// The layout that its data were made with.
    pub layout: DataLayout,
    /// The data, in memory of their own; a pointer that is not followed where their size is 0.
    pub data: *mut c_void,
    /// The claims of patches that were forced off, newest first: what tasks may still use stays
    /// ([S21](crate::lifecycle#s21)).
    pub forced: *mut Claim,
}

/// One of the shadow variables that a claim's patch declares for the state.
#[repr(C)]
#[derive(Debug)]
pub struct ShadowLink {
    /// The next one of the same claim.
    pub next: *mut ShadowLink,
    /// The variable as the patch lists it.
    pub entry: *const ShadowEntry,
    /// The claim.
    pub claim: *mut Claim,
    /// The same variable as the patch lists it that was enabled before and declares it.
    pub older: *mut ShadowLink,
    /// The same variable as the patch lists it that was enabled after and declares it.
    pub newer: *mut ShadowLink,
}

/// The claim has introduced its state in the transition that runs: [`Claim::flags`].
pub const CLAIM_INTRODUCED: u32 = 1 << 0;

/// The claim's `pre_unpatch` was called in the transition that runs: [`Claim::flags`].
pub const CLAIM_REMOVING: u32 = 1 << 1;

/// The claim's state refused to be removed in the transition that runs ([S13](crate::lifecycle#s13)):
/// [`Claim::flags`].
pub const CLAIM_HELD: u32 = 1 << 2;

/// The state's data are made: [`Claim::flags`].
pub const CLAIM_MADE: u32 = 1 << 3;

/// `migrate` has made [`Claim::data`] in the transition that runs ([S22](crate::lifecycle#s22)):
/// [`Claim::flags`].
pub const CLAIM_MIGRATED: u32 = 1 << 4;

/// The patch was forced off, and is on no list any more ([S21](crate::lifecycle#s21)): [`Claim::flags`].
pub const CLAIM_FORCED: u32 = 1 << 5;

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
    /// Data that are not the state's: those for `migrate` to make, until the transition ends
    /// ([S22](crate::lifecycle#s22)), or those that stay for a patch that was forced off
    /// ([S21](crate::lifecycle#s21)). Else null.
    pub data: *mut c_void,
    /// [`CLAIM_INTRODUCED`], [`CLAIM_REMOVING`], [`CLAIM_HELD`], [`CLAIM_MADE`], [`CLAIM_MIGRATED`],
    /// [`CLAIM_FORCED`].
    pub flags: u32,
}
