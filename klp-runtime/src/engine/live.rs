//! The live states, by their ids: a hash table in memory of no module.
//!
//! They are not in the kernel's store of shadow variables, as the list of patches is. What that store frees by id, it
//! finds by a walk over all that it has: with the live states in it, each state would make the removal of
//! every other one dearer.

use core::ffi::c_void;
use core::ptr;

use super::{Engine, Kernel};
use crate::abi::{LiveState, Registry, StateEntry};
use crate::error::{ENOMEM, Result};

impl<K: Kernel> Engine<K> {
    /// Makes a state live that is not; its data are zeroed. There will be as many as `more`, this one included,
    /// before others go.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) unsafe fn make_live(
        &self,
        registry: *mut Registry,
        entry: *const StateEntry,
        more: usize,
    ) -> Result<*mut LiveState> {
        // SAFETY: By contract of the caller; the allocation has room for the state and its data.
        unsafe {
            self.make_room(registry, more)?;
            let live: *mut LiveState = self.kernel.alloc(size_of::<LiveState>()).cast();
            if live.is_null() {
                return Err(ENOMEM);
            }
            (*live).data = self.make_data(live, (*entry).layout.size);
            if (*live).data.is_null() {
                self.kernel.free(live.cast());
                return Err(ENOMEM);
            }
            (*live).id = (*entry).id;
            (*live).size = size_of::<LiveState>() as u32;
            (*live).version = (*entry).version;
            (*live).layout = (*entry).layout;
            put(registry, live);
            (*registry).nr_live += 1;
            Ok(live)
        }
    }

    /// Frees a live state that has no claim.
    pub(super) unsafe fn free_live(&self, registry: *mut Registry, live: *mut LiveState) {
        // SAFETY: By contract of the caller; the state is in the table.
        unsafe {
            let mut at = bucket(registry, (*live).id);
            while *at != live {
                at = &raw mut (**at).next;
            }
            *at = (*live).next;
            (*registry).nr_live -= 1;
            self.free_data(live, (*live).data);
            self.kernel.free(live.cast());
        }
    }

    /// Memory for data of a state; null if there is none. Data of size 0 need none, and have the state's address.
    unsafe fn make_data(&self, live: *mut LiveState, size: usize) -> *mut c_void {
        if size == 0 { live.cast() } else { self.kernel.alloc(size) }
    }

    /// Frees what [`make_data`](Self::make_data) gave.
    unsafe fn free_data(&self, live: *mut LiveState, data: *mut c_void) {
        if data != live.cast() {
            // SAFETY: By contract of the caller.
            unsafe { self.kernel.free(data) }
        }
    }

    /// Lets the table have at least as many buckets as it will have states.
    unsafe fn make_room(&self, registry: *mut Registry, more: usize) -> Result {
        // SAFETY: By contract of the caller; the new table is as large as its number of buckets says.
        unsafe {
            let states = (*registry).nr_live + more;
            if states <= (*registry).nr_buckets {
                return Ok(());
            }
            let nr_buckets = states.next_power_of_two();
            let buckets: *mut *mut LiveState =
                self.kernel.alloc(nr_buckets * size_of::<*mut LiveState>()).cast();
            if buckets.is_null() {
                return Err(ENOMEM);
            }
            let (old, nr_old) = ((*registry).buckets, (*registry).nr_buckets);
            (*registry).buckets = buckets;
            (*registry).nr_buckets = nr_buckets;
            for index in 0..nr_old {
                let mut next = *old.add(index);
                while !next.is_null() {
                    let live = next;
                    next = (*live).next;
                    put(registry, live);
                }
            }
            self.kernel.free(old.cast());
        }
        Ok(())
    }
}

/// The live state `id`, null if no patch provides it.
pub(super) unsafe fn find(registry: *mut Registry, id: u64) -> *mut LiveState {
    // SAFETY: By contract of the caller.
    unsafe {
        if (*registry).nr_buckets == 0 {
            return ptr::null_mut();
        }
        let mut live = *bucket(registry, id);
        while !live.is_null() && (*live).id != id {
            live = (*live).next;
        }
        live
    }
}

/// Puts a state at the head of its bucket.
unsafe fn put(registry: *mut Registry, live: *mut LiveState) {
    // SAFETY: By contract of the caller.
    unsafe {
        let bucket = bucket(registry, (*live).id);
        (*live).next = *bucket;
        *bucket = live;
    }
}

/// The bucket of an id, in a table that has some.
unsafe fn bucket(registry: *mut Registry, id: u64) -> *mut *mut LiveState {
    // By the golden ratio, as the kernel's `hash_64`: ids that follow each other are far apart.
    let hash = u128::from(id.wrapping_mul(0x61c8_8646_80b5_83eb));
    // SAFETY: The hash is a fraction of 2^64, so this is one of the buckets.
    unsafe { (*registry).buckets.add(((hash * (*registry).nr_buckets as u128) >> 64) as usize) }
}
