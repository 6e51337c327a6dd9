//! Everything that crosses modules, `#[repr(C)]` and versioned ([S23](crate::lifecycle#s23)).
//!
//! Two patches may come from different compilers and different versions of
//! this crate, and still hand states to each other. What one of them reads of
//! the other's memory is defined here and nowhere else, and every call between
//! them is `extern "C"`.
//!
//! # How it changes
//!
//! A later [`ABI_VERSION`] may add fields at the end of a structure, flags and
//! values, and nothing else: what is there keeps its place and its meaning, as an
//! earlier runtime may still be disabling its own patch beside a later one's. Each
//! structure that another module follows a pointer to carries its size, and
//! [`PatchNode`] the size of the entries of its arrays, so that a later runtime
//! finds its way in what an earlier one made, and knows which fields are missing.
//!
//! A runtime enables its patch beside and in place of patches whose version is
//! between [`OLDEST_ABI`] and its own. Where it meets a later one it refuses.

mod list;
mod tables;

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

pub use klp_format::{FIRST_RESERVED_ID, STATE_BLOCK_DISABLE};

use crate::module::sys::{load_slot, store_slot};

pub use list::*;
pub use tables::*;

/// The version of the tables in this module.
///
/// It is also the version of the reserved entry ([`RESERVED_STATE_ID`]) that
/// patches list in the kernel's own `klp_patch.states`, so that the kernel
/// itself refuses a cumulative patch with an older table ABI ([S14](crate::lifecycle#s14)).
pub const ABI_VERSION: u32 = 3;

/// The oldest version of the tables that this runtime understands ([S23](crate::lifecycle#s23)).
pub const OLDEST_ABI: u32 = 3;

/// Id of the entry that a patch lists in the kernel's `klp_patch.states` ([S14](crate::lifecycle#s14)).
pub const RESERVED_STATE_ID: u64 = FIRST_RESERVED_ID;

/// Id of the shadow variable of the NULL object that holds the [`Registry`].
pub const REGISTRY_SHADOW_ID: u64 = FIRST_RESERVED_ID + 1;

/// What [`Registry::magic`] and [`PatchNode::magic`] hold: "klp-rust" in ASCII.
pub const MAGIC: u64 = u64::from_be_bytes(*b"klp-rust");

/// Size, alignment and fingerprint of a type, as two modules compare them ([S1](crate::lifecycle#s1)).
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq)]
pub struct DataLayout {
    /// Size in bytes.
    pub size: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// [`KlpData::FINGERPRINT`](crate::layout::KlpData::FINGERPRINT).
    pub fingerprint: u64,
}

impl PartialEq for DataLayout {
    // As the derived one, which the engine's optimization for size does not inline: one comparison of memory.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        (self.size, self.align, self.fingerprint) == (other.size, other.align, other.fingerprint)
    }
}

impl DataLayout {
    /// The layout of `T`.
    #[must_use]
    pub const fn of<T: crate::layout::KlpData>() -> Self {
        Self { size: size_of::<T>(), align: align_of::<T>(), fingerprint: T::FINGERPRINT }
    }
}

/// By what a module's code reaches a state that its patch provides ([S18](crate::lifecycle#s18)).
///
/// The engine fills it once [S1](crate::lifecycle#s1) has let the patch in, and empties it before the
/// state's data are dropped and when the patch is disabled. It stays empty for a
/// state that the init hook left out.
#[repr(C)]
#[derive(Debug)]
pub struct DataSlot {
    live: AtomicPtr<c_void>,
    data: AtomicPtr<c_void>,
}

impl DataSlot {
    /// An empty slot.
    #[must_use]
    pub const fn new() -> Self {
        Self { live: AtomicPtr::new(ptr::null_mut()), data: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Whether the patch provides the state, and the state is live: from before its `pre_patch` until
    /// after its `post_unpatch`. The state's shadow variables may be used then ([S18](crate::lifecycle#s18)).
    #[inline]
    #[must_use]
    pub fn is_live(&self) -> bool {
        !load_slot(&self.live, Ordering::Acquire).is_null()
    }

    /// The address of the state's data, not null for data of size 0 either; null while
    /// [`is_live`](Self::is_live) is false, and in `pre_patch`, which makes the data.
    #[inline]
    #[must_use]
    pub fn get(&self) -> *mut c_void {
        load_slot(&self.data, Ordering::Acquire)
    }

    /// The state is live.
    pub(crate) fn set_live(&self, live: *mut LiveState) {
        store_slot(&self.live, live.cast(), Ordering::Release);
    }

    /// Publishes the address of initialised data.
    pub(crate) fn set(&self, data: *mut c_void) {
        store_slot(&self.data, data, Ordering::Release);
    }

    /// Empties the slot.
    pub(crate) fn clear(&self) {
        self.set(ptr::null_mut());
        self.set_live(ptr::null_mut());
    }

    /// The addresses by which the model knows the slot's two halves.
    #[cfg(all(feature = "sim", not(target_os = "none")))]
    pub(crate) fn halves(&self) -> [usize; 2] {
        [&raw const self.live as usize, &raw const self.data as usize]
    }
}

impl Default for DataSlot {
    fn default() -> Self {
        Self::new()
    }
}

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
