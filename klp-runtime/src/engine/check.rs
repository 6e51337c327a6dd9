//! [S1](crate::lifecycle#s1): what is refused before anything is called.

use super::refs::{ClaimRef, LinkRef, PatchRef};
use super::{Engine, Kernel, Reason, Report};
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
        for claim in patch.claims() {
            if let Some((reason, other)) = mismatch(claim) {
                return self.refuse(&Report::of_claim(reason, claim, Some(other)));
            }
            if let Some((link, other)) = mismatched_shadow(claim) {
                let mut about = Report::of_claim(Reason::Shadow, claim, Some(other.claim()));
                about.link = Some(link);
                return self.refuse(&about);
            }
        }
        if let Some(claim) = blocked(patch) {
            let mut about = Report::of_patch(Reason::Blocked, patch, Some(claim.patch()));
            about.claim = Some(claim);
            return self.refuse(&about);
        }
        if let Some(other) = higher_revision(patch) {
            if patch.flags() & PATCH_ALLOW_DOWNGRADE == 0 {
                return self.refuse(&Report::of_patch(Reason::Revision, patch, Some(other)));
            }
            self.kernel.report(&Report::of_patch(Reason::Downgrade, patch, Some(other)));
        }
        Ok(())
    }

    /// Says why the patch is refused.
    ///
    /// # Errors
    ///
    /// `EINVAL`, always.
    #[inline(never)]
    pub(super) fn refuse(&self, report: &Report<'_>) -> Result {
        self.kernel.report(report);
        Err(EINVAL)
    }
}

/// What keeps the claim's patch from going on with a state, and the claim of the patch that does.
fn mismatch(claim: ClaimRef<'_>) -> Option<(Reason, ClaimRef<'_>)> {
    let (entry, live, owner) = (claim.entry(), claim.live(), claim.older()?);
    for other in claim.older_ones() {
        if claim.title() != other.title() {
            return Some((Reason::Name, other));
        }
        if let (Some(ours), Some(theirs)) = (claim.patch().series(), other.patch().series())
            && ours != theirs
        {
            return Some((Reason::Series, other));
        }
    }
    let reason = if entry.version < live.version() {
        Reason::Version
    } else if differs_beside(claim) {
        Reason::Beside
    } else if entry.layout != live.layout() && !claim.migrates() {
        Reason::Layout
    } else {
        return None;
    };
    Some((reason, owner))
}

/// Whether a patch that does not replace has another version of the state than those beside it.
fn differs_beside(claim: ClaimRef<'_>) -> bool {
    claim.entry().version != claim.live().version() && !claim.patch().replaces()
}

/// The first of the claim's shadow variables that another patch declares otherwise, here and there.
fn mismatched_shadow(claim: ClaimRef<'_>) -> Option<(LinkRef<'_>, LinkRef<'_>)> {
    claim.links().find_map(|link| {
        let other = link.older_ones().find(|other| !is_same(link.entry(), other.entry()))?;
        Some((link, other))
    })
}

/// Whether one patch can go on with the variables of another.
fn is_same(ours: &ShadowEntry, theirs: &ShadowEntry) -> bool {
    ours.layout == theirs.layout && ours.flags == theirs.flags
}

/// The first state that a replace patch would remove though `block_disable` holds for it
/// ([S13](crate::lifecycle#s13)). What the patch provides it has claimed already, so a state that an older
/// patch still owns is one that would go.
fn blocked(patch: PatchRef<'_>) -> Option<ClaimRef<'_>> {
    if !patch.replaces() {
        return None;
    }
    let is_blocked = |claim: &ClaimRef<'_>| claim.is_owner() && claim.live().is_blocked();
    patch.older_ones().find_map(|other| other.claims().find(is_blocked))
}

/// A patch of the same series with a higher revision, which the patch would replace
/// ([S20](crate::lifecycle#s20)).
fn higher_revision(patch: PatchRef<'_>) -> Option<PatchRef<'_>> {
    let series = patch.series().filter(|_| patch.replaces())?;
    let mut enabled = patch.older_ones().filter(|other| other.phase() == Phase::ENABLED);
    enabled.find(|other| other.revision() > patch.revision() && other.series() == Some(series))
}
