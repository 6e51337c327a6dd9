//! S1: what is refused before anything is called.

use core::ffi::CStr;

use super::claim::Declared;
use super::{Engine, Kernel, Reason, Report, claims, list, owns, replaces};
use crate::abi::{Claim, PatchNode, STATE_BLOCK_DISABLE, ShadowEntry};
use crate::error::{EINVAL, Result};

impl<K: Kernel> Engine<K> {
    /// Holds the claimed states against the owners', and a replace patch
    /// against the states that it would remove.
    ///
    /// # Errors
    ///
    /// `EINVAL`, after one line in the log.
    pub(super) unsafe fn check(&self, node: *mut PatchNode) -> Result {
        // SAFETY: By contract of the caller.
        let refusal = unsafe { refused_state(node).or_else(|| refused_removal(node)) };
        match refusal {
            Some(report) => {
                self.kernel.report(&report);
                Err(EINVAL)
            }
            None => Ok(()),
        }
    }
}

/// The first continuing state that does not fit its owner's.
unsafe fn refused_state(node: *mut PatchNode) -> Option<Report> {
    // SAFETY: By contract of the caller; the older claim is that of the owner so far.
    unsafe {
        claims(node)
            .filter(|&claim| !(*claim).older.is_null())
            .find_map(|claim| misfit(claim, (*claim).older))
    }
}

unsafe fn misfit(claim: *mut Claim, owner: *mut Claim) -> Option<Report> {
    // SAFETY: By contract of the caller; names are strings of loaded modules.
    unsafe {
        let (ours, theirs) = (&*(*claim).entry, &*(*owner).entry);
        let report = |reason| Some(Report::of_claim(reason, claim, owner));
        if CStr::from_ptr(ours.name) != CStr::from_ptr(theirs.name) {
            return report(Reason::Name);
        }
        if ours.version < theirs.version {
            return report(Reason::Version);
        }
        if ours.layout != (*(*claim).live).layout {
            return report(Reason::Layout);
        }
        let mut declared = Declared::in_one(owner);
        let mut link = (*claim).shadows;
        while !link.is_null() {
            let shadow = (*link).entry;
            if let Some(other) = declared.find((*shadow).id)
                && !same_variable(&*shadow, &*other)
            {
                return Some(Report {
                    shadow: (*shadow).name,
                    ..Report::of_claim(Reason::Shadow, claim, owner)
                });
            }
            link = (*link).next;
        }
        None
    }
}

/// Whether one patch can go on with the variables of another.
fn same_variable(ours: &ShadowEntry, theirs: &ShadowEntry) -> bool {
    ours.layout == theirs.layout && ours.flags == theirs.flags
}

/// The first state that a replace patch would remove though it is marked `block_disable`.
unsafe fn refused_removal(node: *mut PatchNode) -> Option<Report> {
    // SAFETY: By contract of the caller. What the new patch provides it has claimed
    // already, so a state that an older patch still owns is one that would go.
    unsafe {
        if !replaces(node) {
            return None;
        }
        list::older_than(node).find_map(|other| {
            claims(other)
                .find(|&claim| owns(claim) && (*(*claim).entry).flags & STATE_BLOCK_DISABLE != 0)
                .map(|claim| Report::removal(node, claim))
        })
    }
}
