//! The list of patches, across modules.

use core::ptr;

use super::{Engine, Kernel, Reason, Report, all_claims, claims};
use crate::abi::{
    ABI_VERSION, CLAIM_HELD, MAGIC, OLDEST_ABI, PATCH_ALLOW_DOWNGRADE, PatchNode, Phase, REGISTRY_SHADOW_ID,
    Registry, Replace,
};
use crate::error::{EINVAL, ENOMEM, Result};

impl<K: Kernel> Engine<K> {
    /// Puts the patch on the list, as the newest. The first one makes the list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` where something on the list is not of this version.
    pub(super) unsafe fn link(&self, node: *mut PatchNode) -> Result {
        // SAFETY: The registry is ours by its reserved id, and its magic and
        // version are looked at before what depends on them.
        unsafe {
            let mut registry: *mut Registry =
                self.kernel.shadow_get(ptr::null_mut(), REGISTRY_SHADOW_ID).cast();
            if registry.is_null() {
                let size = size_of::<Registry>();
                registry = self.kernel.shadow_alloc(ptr::null_mut(), REGISTRY_SHADOW_ID, size).cast();
                if registry.is_null() {
                    return Err(ENOMEM);
                }
                (*registry).magic = MAGIC;
                (*registry).abi_version = ABI_VERSION;
                (*registry).size = size_of::<Registry>() as u32;
            } else if let Some(refusal) = foreign(registry, node) {
                self.kernel.report(&refusal);
                return Err(EINVAL);
            }
            let newest = (*registry).newest;
            (*node).older = newest;
            (*node).newer = ptr::null_mut();
            if !newest.is_null() {
                (*newest).newer = node;
            }
            (*registry).newest = node;
            (*node).registry = registry;
        }
        Ok(())
    }

    /// Takes the patch, whose claims are given up, off the list; the last one frees the list.
    pub(super) unsafe fn unlink(&self, node: *mut PatchNode) {
        // SAFETY: The patch is on the list, so the list is there and of this version.
        unsafe {
            let registry = (*node).registry;
            let (older, newer) = ((*node).older, (*node).newer);
            if !older.is_null() {
                (*older).newer = newer;
            }
            if newer.is_null() {
                (*registry).newest = older;
            } else {
                (*newer).older = older;
            }
            (*node).older = ptr::null_mut();
            (*node).newer = ptr::null_mut();
            (*node).registry = ptr::null_mut();
            (*node).phase = Phase::IDLE;
            if (*registry).newest.is_null() {
                self.kernel.free((*registry).buckets.cast());
                self.kernel.shadow_free(ptr::null_mut(), REGISTRY_SHADOW_ID);
            }
        }
    }

    /// Gives up what the patch still claims and takes it off the list.
    pub(super) unsafe fn leave(&self, node: *mut PatchNode) {
        // SAFETY: By contract of the caller.
        unsafe {
            self.release_all(node);
            self.unlink(node);
        }
    }

    /// S13: the disabled patch stays on the list for the states that it holds.
    pub(super) unsafe fn stay(&self, node: *mut PatchNode) {
        // SAFETY: By contract of the caller.
        unsafe {
            for claim in claims(node) {
                if (*claim).flags & CLAIM_HELD == 0 {
                    self.release(claim);
                }
            }
            (*node).phase = Phase::HELD;
        }
    }

    /// S5: takes every other patch off the list. Their modules may be unloaded
    /// once the calling patch returns to the kernel, held ones (S13) at once.
    pub(super) unsafe fn release_replaced(&self, node: *mut PatchNode) {
        // SAFETY: By contract of the caller; a patch is not looked at after it was unpinned.
        unsafe {
            while !(*node).older.is_null() {
                let other = (*node).older;
                let module = (*other).module;
                // Also of states that another patch has taken on meanwhile, and which are removed now.
                let pins = all_claims(other).filter(|&claim| (*claim).flags & CLAIM_HELD != 0).count();
                self.leave(other);
                for _ in 0..pins {
                    self.kernel.unpin(module);
                }
            }
        }
    }
}

/// The patches enabled before `node`, newest first.
pub(super) unsafe fn older_than(node: *mut PatchNode) -> impl Iterator<Item = *mut PatchNode> {
    // SAFETY: The list is not changed while it is walked.
    let next = |node: *mut PatchNode| Some(unsafe { (*node).older }).filter(|older| !older.is_null());
    core::iter::successors(next(node), move |&node| next(node))
}

/// The patches enabled before `node`, oldest first.
pub(super) unsafe fn oldest_until(node: *mut PatchNode) -> impl Iterator<Item = *mut PatchNode> {
    // SAFETY: As above.
    let oldest = unsafe { older_than(node).last().unwrap_or(node) };
    // SAFETY: As above; `node` is the newest.
    core::iter::successors(Some(oldest), |&node| Some(unsafe { (*node).newer }))
        .take_while(move |&other| other != node)
}

/// The patches on the list of `node` that are held (S13), newest first.
pub(super) unsafe fn held_beside(node: *mut PatchNode) -> impl Iterator<Item = *mut PatchNode> {
    // SAFETY: The list is not changed while it is walked.
    let newer = |&node: &*mut PatchNode| Some(unsafe { (*node).newer }).filter(|newer| !newer.is_null());
    let newest = core::iter::successors(Some(node), newer).last().unwrap_or(node);
    // SAFETY: As above.
    let all = core::iter::once(newest).chain(unsafe { older_than(newest) });
    // SAFETY: As above.
    all.filter(|&node| unsafe { (*node).phase } == Phase::HELD)
}

/// Why the list can't be used: something on it was not made by this version of the tables.
unsafe fn foreign(registry: *mut Registry, node: *mut PatchNode) -> Option<Report> {
    // SAFETY: The magic comes first, and a version is looked at only behind the right magic.
    unsafe {
        if (*registry).magic != MAGIC {
            return Some(Report::of_patch(Reason::Corrupt, node, ptr::null_mut()));
        }
        if !is_understood(node, (*registry).abi_version) {
            let version = u64::from((*registry).abi_version);
            return Some(Report { theirs: version, ..Report::of_patch(Reason::Abi, node, ptr::null_mut()) });
        }
        let mut other = (*registry).newest;
        while !other.is_null() {
            if (*other).magic != MAGIC {
                return Some(Report::of_patch(Reason::Corrupt, node, ptr::null_mut()));
            }
            if !is_understood(node, (*other).abi_version) {
                let version = u64::from((*other).abi_version);
                return Some(Report { theirs: version, ..Report::of_patch(Reason::Abi, node, other) });
            }
            if (*other).flags & !PATCH_ALLOW_DOWNGRADE != 0 || !is_known((*other).replace) {
                return Some(Report::of_patch(Reason::Corrupt, node, ptr::null_mut()));
            }
            other = (*other).older;
        }
        None
    }
}

/// Whether the patch's runtime understands tables of a version (S23).
unsafe fn is_understood(node: *mut PatchNode, version: u32) -> bool {
    // SAFETY: By contract of the caller.
    (OLDEST_ABI..=unsafe { (*node).abi_version }).contains(&version)
}

/// Whether this runtime knows what kind of replacing it is.
fn is_known(replace: Replace) -> bool {
    replace == Replace::NONE || replace == Replace::ALL
}
