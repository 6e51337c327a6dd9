//! [S1](crate::lifecycle#s1): what is refused before anything is called.

use super::refs::{ClaimRef, PatchRef};
use super::{Engine, Kernel, Report};
use crate::abi::{PATCH_ALLOW_DOWNGRADE, Phase, ShadowEntry};
use crate::error::{EINVAL, Result};

impl<K: Kernel> Engine<K> {
    /// Holds what the patch claims against all that is enabled, and a replace patch
    /// against what it would replace.
    ///
    /// # Errors
    ///
    /// `EINVAL`, after one line in the log.
    pub(super) fn check(&self, patch: PatchRef<'_>) -> Result {
        let refusal = patch.claims().find_map(|claim| mismatch(claim).or_else(|| mismatched_shadow(claim)));
        if let Some(why) = refusal.or_else(|| blocked(patch)) {
            return self.refuse(&why);
        }
        if let Some(other) = higher_revision(patch) {
            if patch.flags() & PATCH_ALLOW_DOWNGRADE == 0 {
                return self.refuse(&Report::lower_revision(patch, other));
            }
            self.kernel.report(&Report::downgrade(patch, other));
        }
        Ok(())
    }

    /// Says why the patch is refused.
    ///
    /// # Errors
    ///
    /// `EINVAL`, always.
    #[inline(always)]
    pub(super) fn refuse(&self, report: &Report<'_>) -> Result {
        self.kernel.report(report);
        Err(EINVAL)
    }
}

/// What keeps the claim's patch from going on with a state that another one provides.
fn mismatch(claim: ClaimRef<'_>) -> Option<Report<'_>> {
    let (entry, live, owner) = (claim.entry(), claim.live(), claim.older()?);
    for other in claim.older_ones() {
        if claim.title() != other.title() {
            return Some(Report::name(claim, other));
        }
        if let (Some(ours), Some(theirs)) = (claim.patch().series(), other.patch().series())
            && ours != theirs
        {
            return Some(Report::series(claim, other));
        }
    }
    if entry.version < live.version() {
        Some(Report::lower_version(claim, owner))
    } else if differs_beside(claim) {
        Some(Report::version_beside(claim, owner))
    } else if entry.layout != live.layout() && !claim.migrates() {
        Some(Report::layout(claim, owner))
    } else {
        None
    }
}

/// Whether a patch that does not replace has another version of the state than those beside it.
fn differs_beside(claim: ClaimRef<'_>) -> bool {
    claim.entry().version != claim.live().version() && !claim.patch().replaces()
}

/// What keeps the claim's patch from going on with the first of the state's shadow variables that another
/// patch declares otherwise.
fn mismatched_shadow(claim: ClaimRef<'_>) -> Option<Report<'_>> {
    claim.links().find_map(|link| {
        let other = link.older_ones().find(|other| !is_same(link.entry(), other.entry()))?;
        Some(Report::shadow(link, other))
    })
}

/// Whether one patch can go on with the variables of another.
fn is_same(ours: &ShadowEntry, theirs: &ShadowEntry) -> bool {
    ours.layout == theirs.layout && ours.flags == theirs.flags
}

/// What keeps a replace patch from removing the first state that it would, though `block_disable` holds for it
/// ([S13](crate::lifecycle#s13)). What the patch provides it has claimed already, so a state that an older
/// patch still owns is one that would go.
fn blocked(patch: PatchRef<'_>) -> Option<Report<'_>> {
    if !patch.replaces() {
        return None;
    }
    let is_blocked = |claim: &ClaimRef<'_>| claim.is_owner() && claim.live().is_blocked();
    let blocked = patch.older_ones().find_map(|other| other.claims().find(is_blocked))?;
    Some(Report::blocked(patch, blocked))
}

/// A patch of the same series with a higher revision, which the patch would replace
/// ([S20](crate::lifecycle#s20)).
fn higher_revision(patch: PatchRef<'_>) -> Option<PatchRef<'_>> {
    let series = patch.series().filter(|_| patch.replaces())?;
    let mut enabled = patch.older_ones().filter(|other| other.phase() == Phase::ENABLED);
    enabled.find(|other| other.revision() > patch.revision() && other.series() == Some(series))
}
