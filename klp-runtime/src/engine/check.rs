//! S1: what is refused before anything is called.

use super::claim::Declared;
use super::refs::{ClaimRef, PatchRef};
use super::{Engine, Kernel, Reason, Report};
use crate::abi::{STATE_BLOCK_DISABLE, ShadowEntry};
use crate::error::{EINVAL, Result};

impl<K: Kernel> Engine<K> {
    /// Holds the claimed states against the owners', and a replace patch
    /// against the states that it would remove.
    ///
    /// # Errors
    ///
    /// `EINVAL`, after one line in the log.
    pub(super) fn check(&self, patch: PatchRef<'_>) -> Result {
        match mismatched_state(patch).or_else(|| refused_removal(patch)) {
            Some(report) => {
                self.kernel.report(&report);
                Err(EINVAL)
            }
            None => Ok(()),
        }
    }
}

/// The first continuing state that does not fit its owner's.
fn mismatched_state(patch: PatchRef<'_>) -> Option<Report<'_>> {
    patch.claims().find_map(|claim| mismatch(claim, claim.older()?))
}

/// What keeps the claim's patch from going on with the state of its owner so far.
fn mismatch<'lock>(claim: ClaimRef<'lock>, owner: ClaimRef<'lock>) -> Option<Report<'lock>> {
    let (ours, theirs) = (claim.entry(), owner.entry());
    let report = |reason| Report::of_claim(reason, claim, Some(owner));
    if claim.title() != owner.title() {
        return Some(report(Reason::Name));
    }
    if ours.version < theirs.version {
        return Some(report(Reason::Version));
    }
    if ours.layout != claim.live().layout() {
        return Some(report(Reason::Layout));
    }
    let mut declared = Declared::in_one(owner);
    let other = claim.links().find(|link| {
        let other = declared.find(link.entry().id);
        other.is_some_and(|other| !same_variable(link.entry(), other.entry()))
    });
    other.map(|link| Report { shadow: link.title(), ..report(Reason::Shadow) })
}

/// Whether one patch can go on with the variables of another.
fn same_variable(ours: &ShadowEntry, theirs: &ShadowEntry) -> bool {
    ours.layout == theirs.layout && ours.flags == theirs.flags
}

/// The first state that a replace patch would remove though it is marked `block_disable`. What the
/// patch provides it has claimed already, so a state that an older patch still owns is one that would go.
fn refused_removal(patch: PatchRef<'_>) -> Option<Report<'_>> {
    if !patch.replaces() {
        return None;
    }
    let blocked = |claim: &ClaimRef<'_>| claim.is_owner() && claim.entry().flags & STATE_BLOCK_DISABLE != 0;
    let owned = patch.older_ones().find_map(|other| other.claims().find(blocked));
    owned.map(|claim| Report::removal(patch, claim))
}
