//! The live states, by their ids: a hash table in memory of no module.
//!
//! The kernel's store of shadow variables frees by id with a walk over all that it has, so states kept
//! there would make the removal of every other one dearer.

use core::ffi::c_void;
use core::ptr;

use super::refs::{ListRef, LiveRef};
use super::{Engine, Kernel};
use crate::abi::{DropData, LiveState};
use crate::error::{ENOMEM, Result};

impl<K: Kernel> Engine<K> {
    /// Adds a state to the table. There will be as many as `more`, this one included, before others go.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn add_live<'lock>(
        &self,
        list: ListRef<'lock>,
        id: u64,
        more: usize,
    ) -> Result<LiveRef<'lock>> {
        self.make_room(list, more)?;
        let live: *mut LiveState = self.kernel.alloc(size_of::<LiveState>()).cast();
        if live.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: The memory is the state's, zeroed. The state is in place once it is in the table.
        let live = unsafe {
            (*live).id = id;
            (*live).size = size_of::<LiveState>() as u32;
            LiveRef::follow(live).ok_or(ENOMEM)?
        };
        list.put(live);
        list.set_nr_live(list.nr_live() + 1);
        Ok(live)
    }

    /// Frees what is left of a state that no patch provides: all of it, unless a patch that did was
    /// forced off ([S21](crate::lifecycle#s21)).
    ///
    /// # Safety
    ///
    /// No reference to the state is used any more, and its data are dropped, or were not made.
    pub(super) unsafe fn free_live<'lock>(&self, list: ListRef<'lock>, live: LiveRef<'lock>) {
        // SAFETY: They are not looked at again.
        unsafe { self.free_data(live, live.data()) };
        live.set_data(ptr::null_mut());
        if live.forced().is_some() {
            return;
        }
        list.take(live);
        list.set_nr_live(list.nr_live() - 1);
        // SAFETY: Nothing leads to it any more.
        unsafe { self.kernel.free(live.as_ptr().cast()) };
    }

    /// Memory for data of a state, zeroed; null if there is none. Data of size 0 need none, and have the
    /// state's address.
    pub(super) fn make_data(&self, live: LiveRef<'_>, size: usize) -> *mut c_void {
        if size == 0 { live.as_ptr().cast() } else { self.kernel.alloc(size) }
    }

    /// Frees what [`make_data`](Self::make_data) gave for the state; nothing for null.
    ///
    /// # Safety
    ///
    /// The data are dropped or were not made, and nobody uses their memory any more.
    pub(super) unsafe fn free_data(&self, live: LiveRef<'_>, data: *mut c_void) {
        if data != live.as_ptr().cast() {
            // SAFETY: Null, or from `alloc` and no longer used.
            unsafe { self.kernel.free(data) }
        }
    }

    /// Drops the data that the state has and frees them ([S10](crate::lifecycle#s10)), unless tasks may still
    /// use them: they then stay with the claims of the patches that were forced off
    /// ([S21](crate::lifecycle#s21)). The state has none after it.
    ///
    /// # Safety
    ///
    /// No code has the data but that of patches which were forced off. `drop_data` is that of a patch in
    /// which the data have this layout, or none if they are not made.
    pub(super) unsafe fn end_data(&self, live: LiveRef<'_>, drop_data: Option<DropData>) {
        let data = live.data();
        live.set_data(ptr::null_mut());
        let mut is_used = false;
        let forced = live.providers().filter(|claim| claim.patch().is_forced());
        for claim in forced.chain(live.forced_claims()).filter(|claim| claim.data().is_null()) {
            claim.set_data(data);
            is_used = true;
        }
        if is_used {
            return;
        }
        if let Some(drop_data) = drop_data {
            // SAFETY: The data are made, and dropped here alone.
            unsafe { drop_data(data) };
        }
        // SAFETY: They are dropped, and nobody has them.
        unsafe { self.free_data(live, data) };
    }

    /// Lets the table have at least as many buckets as it will have states.
    fn make_room(&self, list: ListRef<'_>, more: usize) -> Result {
        let states = list.nr_live() + more;
        if states <= list.nr_buckets() {
            return Ok(());
        }
        let nr_buckets = states.next_power_of_two();
        let buckets: *mut *mut LiveState = self.kernel.alloc(nr_buckets * size_of::<*mut LiveState>()).cast();
        if buckets.is_null() {
            return Err(ENOMEM);
        }
        let (old, nr_old) = (list.buckets(), list.nr_buckets());
        list.set_buckets(buckets);
        list.set_nr_buckets(nr_buckets);
        for index in 0..nr_old {
            // SAFETY: One of the old buckets, which lead to states in place.
            let mut next = unsafe { LiveRef::follow(*old.add(index)) };
            while let Some(live) = next {
                next = live.next();
                list.put(live);
            }
        }
        // SAFETY: The list has the new table.
        unsafe { self.kernel.free(old.cast()) };
        Ok(())
    }
}

impl<'lock> ListRef<'lock> {
    /// The live state `id`; none if no patch provides it.
    pub(super) fn find(self, id: u64) -> Option<LiveRef<'lock>> {
        if self.nr_buckets() == 0 {
            return None;
        }
        // SAFETY: The bucket leads to states in place.
        let first = unsafe { LiveRef::follow(*self.bucket(id)) };
        core::iter::successors(first, |live| live.next()).find(|live| live.id() == id)
    }

    /// Puts a state at the head of its bucket.
    fn put(self, live: LiveRef<'lock>) {
        let bucket = self.bucket(live.id());
        // SAFETY: The bucket is the list's own, and leads to states in place.
        unsafe {
            live.set_next(LiveRef::follow(*bucket));
            *bucket = live.as_ptr();
        }
    }

    /// Takes a state out of its bucket.
    fn take(self, live: LiveRef<'lock>) {
        let mut at = self.bucket(live.id());
        // SAFETY: The state is in the table, so the walk along its bucket comes to it.
        unsafe {
            while *at != live.as_ptr() {
                at = &raw mut (**at).next;
            }
            *at = (**at).next;
        }
    }

    /// The bucket of an id, in a table that has some.
    fn bucket(self, id: u64) -> *mut *mut LiveState {
        // By the golden ratio, as the kernel's `hash_64`: ids that follow each other are far apart.
        let hash = u128::from(id.wrapping_mul(0x61c8_8646_80b5_83eb));
        // SAFETY: The hash is a fraction of 2^64, so this is one of the buckets.
        unsafe { self.buckets().add(((hash * self.nr_buckets() as u128) >> 64) as usize) }
    }
}
