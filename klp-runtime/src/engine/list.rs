//! The list of patches, across modules.

use core::ptr;

use super::refs::{ListRef, PatchRef};
use super::{Engine, Kernel, Report};
use crate::abi::{
    ABI_VERSION, CLAIM_HELD, MAGIC, OLDEST_ABI, PATCH_ALLOW_DOWNGRADE, Phase, REGISTRY_SHADOW_ID, Registry,
    Replace,
};
use crate::error::{ENOMEM, Result};

impl<K: Kernel> Engine<K> {
    /// Puts the patch on the list, as the newest. The first one makes the list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` where something on the list can't be understood ([S23](crate::lifecycle#s23)).
    pub(super) fn link<'lock>(&self, patch: PatchRef<'lock>) -> Result<ListRef<'lock>> {
        let found: *mut Registry = self.kernel.shadow_get(ptr::null_mut(), REGISTRY_SHADOW_ID).cast();
        // SAFETY: What has our reserved id starts as our list does, and until it was looked at nothing
        // else of it is followed.
        let list = match unsafe { ListRef::follow(found) } {
            Some(list) => {
                if let Some(why) = incompatible_list(list, patch) {
                    self.refuse(&why)?;
                }
                list
            }
            None => self.make_list().ok_or(ENOMEM)?,
        };
        let newest = list.newest();
        patch.set_older(newest);
        patch.set_newer(None);
        if let Some(newest) = newest {
            newest.set_newer(Some(patch));
        }
        list.set_newest(Some(patch));
        patch.set_registry(Some(list));
        Ok(list)
    }

    /// An empty list; none if there is no memory.
    fn make_list<'lock>(&self) -> Option<ListRef<'lock>> {
        let size = size_of::<Registry>();
        let list: *mut Registry = self.kernel.shadow_alloc(ptr::null_mut(), REGISTRY_SHADOW_ID, size).cast();
        if list.is_null() {
            return None;
        }
        // SAFETY: The memory is the list's, zeroed.
        unsafe {
            (*list).magic = MAGIC;
            (*list).abi_version = ABI_VERSION;
            (*list).size = size as u32;
            ListRef::follow(list)
        }
    }

    /// Takes the patch, whose claims are given up, off the list; the last one frees the list.
    pub(super) fn unlink<'lock>(&self, patch: PatchRef<'lock>, list: ListRef<'lock>) {
        let (older, newer) = (patch.older(), patch.newer());
        if let Some(older) = older {
            older.set_newer(newer);
        }
        match newer {
            Some(newer) => newer.set_older(older),
            None => list.set_newest(older),
        }
        patch.set_older(None);
        patch.set_newer(None);
        patch.set_registry(None);
        patch.set_phase(Phase::IDLE);
        if list.newest().is_none() && list.nr_live() == 0 {
            // SAFETY: No patch is on it, and a patch without a list looks at none. Nothing stays in it (S21).
            unsafe {
                self.kernel.free(list.buckets().cast());
                self.kernel.shadow_free(ptr::null_mut(), REGISTRY_SHADOW_ID);
            }
        }
    }

    /// Gives up what the patch still claims and takes it off the list.
    ///
    /// # Safety
    ///
    /// As for [`release_all`](Self::release_all); the list may be gone after it.
    pub(super) unsafe fn release_and_unlink(&self, patch: PatchRef<'_>) {
        if let Some(list) = patch.registry() {
            // SAFETY: The caller uses none of it again.
            unsafe { self.release_all(patch, list) };
            self.unlink(patch, list);
        }
    }

    /// [S13](crate::lifecycle#s13): the disabled patch stays on the list for the states that it holds.
    ///
    /// # Safety
    ///
    /// No reference to another claim of the patch is used any more.
    pub(super) unsafe fn keep_held(&self, patch: PatchRef<'_>) {
        for claim in patch.claims() {
            if claim.has(CLAIM_HELD) {
                // The patch is disabled (S18).
                claim.slot().clear();
            } else {
                // SAFETY: Another patch provides the state, or it would be held or removed.
                unsafe { self.release(claim) };
            }
        }
        patch.set_phase(Phase::HELD);
    }

    /// [S5](crate::lifecycle#s5): takes every other patch off the list. Their modules may be unloaded
    /// once the calling patch returns to the kernel, held ones ([S13](crate::lifecycle#s13)) at once.
    ///
    /// # Safety
    ///
    /// No reference to another patch, or to what is its, is used any more, and no task runs its code.
    pub(super) unsafe fn release_replaced(&self, patch: PatchRef<'_>) {
        while let Some(other) = patch.older() {
            let (module, pins) = (other.module(), other.held_claims());
            // SAFETY: The states that it alone provided are removed; the others continue in the calling patch.
            unsafe { self.release_and_unlink(other) };
            for _ in 0..pins {
                // SAFETY: Each state that was held has pinned the module, and the patch is on no list.
                unsafe { self.kernel.unpin(module) };
            }
        }
    }
}

/// The patches on the list of `patch` that are held ([S13](crate::lifecycle#s13)), newest first.
pub(super) fn held_beside<'lock>(patch: PatchRef<'lock>) -> impl Iterator<Item = PatchRef<'lock>> {
    let newest = patch.registry().and_then(ListRef::newest);
    let all = core::iter::successors(newest, |patch| patch.older());
    all.filter(|patch| patch.phase() == Phase::HELD)
}

/// Why the list can't be used: it or a patch on it was not made by a version of the tables that the
/// patch's runtime understands ([S23](crate::lifecycle#s23)).
fn incompatible_list<'lock>(list: ListRef<'lock>, patch: PatchRef<'lock>) -> Option<Report<'lock>> {
    // A version counts only behind the right magic, all else only behind a version that is understood.
    if list.magic() != MAGIC {
        return Some(Report::corrupt(patch));
    }
    if !is_understood(patch, list.abi_version()) {
        return Some(Report::abi_of_list(patch, list.abi_version()));
    }
    list.patches().find_map(|other| {
        if other.magic() != MAGIC {
            Some(Report::corrupt(patch))
        } else if !is_understood(patch, other.abi_version()) {
            Some(Report::abi(patch, other))
        } else if other.flags() & !PATCH_ALLOW_DOWNGRADE != 0 || !is_known(other.replace()) {
            Some(Report::corrupt(patch))
        } else {
            None
        }
    })
}

/// Whether the patch's runtime understands tables of a version ([S23](crate::lifecycle#s23)).
fn is_understood(patch: PatchRef<'_>, version: u32) -> bool {
    (OLDEST_ABI..=patch.abi_version()).contains(&version)
}

/// Whether this runtime knows what kind of replacing it is.
fn is_known(replace: Replace) -> bool {
    replace == Replace::NONE || replace == Replace::ALL
}
