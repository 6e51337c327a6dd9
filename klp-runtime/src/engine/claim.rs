//! Claims: which patch provides which live state.

use core::ptr;

use super::live::find;
use super::{Engine, Kernel, Reason, Report, claims, withdraw};
use crate::abi::{CLAIM_INTRODUCED, CLAIM_MADE, Claim, LiveState, PatchNode, ShadowEntry, ShadowLink};
use crate::error::{EINVAL, ENOMEM, Result};

impl<K: Kernel> Engine<K> {
    /// Claims every state of the patch, making live the ones that no other
    /// patch provides. Nothing is called yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` for a table that contradicts itself.
    pub(super) unsafe fn claim_states(&self, node: *mut PatchNode) -> Result {
        // SAFETY: By contract of the caller; one allocation holds all claims,
        // then all links, both aligned to 8 bytes and zeroed.
        unsafe {
            let (states, shadows) = ((*node).nr_states, (*node).nr_shadows);
            let size = states * size_of::<Claim>() + shadows * size_of::<ShadowLink>();
            if size == 0 {
                return Ok(());
            }
            let claims: *mut Claim = self.kernel.alloc(size).cast();
            if claims.is_null() {
                return Err(ENOMEM);
            }
            (*node).claims = claims;
            for index in 0..states {
                let claim = claims.add(index);
                (*claim).patch = node;
                (*claim).entry = (*node).states.add(index);
                self.claim_state(claim, states - index)?;
            }
            let links: *mut ShadowLink = claims.add(states).cast();
            // Backwards, so that each claim's list is in table order.
            for index in (0..shadows).rev() {
                let link = links.add(index);
                (*link).entry = (*node).shadows.add(index);
                let live = find((*node).registry, (*(*link).entry).state);
                if live.is_null() || (*(*live).claims).patch != node {
                    self.kernel.report(&Report::of_shadow(Reason::NoState, node, (*link).entry));
                    return Err(EINVAL);
                }
                let claim = (*live).claims;
                (*link).next = (*claim).shadows;
                (*claim).shadows = link;
            }
        }
        Ok(())
    }

    /// Puts one claim on its state, as the newest; so many will be put, this one included.
    unsafe fn claim_state(&self, claim: *mut Claim, claims: usize) -> Result {
        // SAFETY: By contract of the caller.
        unsafe {
            let (entry, registry) = ((*claim).entry, (*(*claim).patch).registry);
            let mut live = find(registry, (*entry).id);
            if live.is_null() {
                live = self.make_live(registry, entry, claims)?;
                (*claim).flags = CLAIM_INTRODUCED;
            } else {
                if (*(*live).claims).patch == (*claim).patch {
                    self.kernel.report(&Report::of_claim(Reason::Duplicate, claim, ptr::null_mut()));
                    return Err(EINVAL);
                }
                (*claim).flags = CLAIM_MADE;
            }
            (*claim).live = live;
            (*claim).older = (*live).claims;
            (*live).claims = claim;
        }
        Ok(())
    }

    /// Gives up one claim. Shadow variables that no other patch declares for
    /// the state are freed: nobody could do it later (S16).
    pub(super) unsafe fn release(&self, claim: *mut Claim) {
        // SAFETY: By contract of the caller.
        unsafe {
            let live = (*claim).live;
            let mut at = &raw mut (*live).claims;
            while *at != claim {
                at = &raw mut (**at).older;
            }
            *at = (*claim).older;
            (*claim).live = ptr::null_mut();
            (*claim).older = ptr::null_mut();
            withdraw(claim);
            let mut declared = Declared::in_any((*live).claims);
            let mut link = (*claim).shadows;
            while !link.is_null() {
                if declared.find((*(*link).entry).id).is_none() {
                    self.kernel.shadow_free_all(&*(*link).entry);
                }
                link = (*link).next;
            }
        }
    }

    /// Gives up all claims of a patch. States that it alone provides must not
    /// have been made: there is nobody left to remove them.
    pub(super) unsafe fn release_all(&self, node: *mut PatchNode) {
        // SAFETY: By contract of the caller.
        unsafe {
            for claim in claims(node) {
                let live = (*claim).live;
                self.release(claim);
                if (*live).claims.is_null() {
                    self.free_live((*node).registry, live);
                }
            }
            self.kernel.free((*node).claims.cast());
            (*node).claims = ptr::null_mut();
        }
    }
}

/// The claims of the patches that provide `live`, newest first.
pub(super) unsafe fn of_state(live: *mut LiveState) -> impl Iterator<Item = *mut Claim> {
    // SAFETY: By contract of the caller; the claims are not changed while they are walked.
    let newest = unsafe { (*live).claims };
    let some = |claim: *mut Claim| Some(claim).filter(|claim| !claim.is_null());
    // SAFETY: As above.
    core::iter::successors(some(newest), move |&claim| some(unsafe { (*claim).older }))
}

/// Looks shadow variables up among those that claims declare.
///
/// Two versions of a patch list theirs in nearly the same order, so each search
/// starts where the one before ended: all of them together are linear.
pub(super) struct Declared {
    claims: *mut Claim,
    in_one: bool,
    next: *mut ShadowLink,
}

impl Declared {
    /// Searches `claim` and all older ones of its state.
    pub(super) const unsafe fn in_any(claim: *mut Claim) -> Self {
        Self { claims: claim, in_one: false, next: ptr::null_mut() }
    }

    /// Searches `claim` only.
    pub(super) const unsafe fn in_one(claim: *mut Claim) -> Self {
        Self { claims: claim, in_one: true, next: ptr::null_mut() }
    }

    /// The entry of the shadow variable `id`, if it is declared.
    pub(super) unsafe fn find(&mut self, id: u64) -> Option<*const ShadowEntry> {
        // SAFETY: Claims and links stay in place while their state is looked at.
        unsafe {
            let mut found = search(self.next, id);
            let mut claim = self.claims;
            while found.is_null() && !claim.is_null() {
                found = search((*claim).shadows, id);
                claim = if self.in_one { ptr::null_mut() } else { (*claim).older };
            }
            if found.is_null() {
                return None;
            }
            self.next = (*found).next;
            Some((*found).entry)
        }
    }
}

unsafe fn search(mut link: *mut ShadowLink, id: u64) -> *mut ShadowLink {
    // SAFETY: As above.
    unsafe {
        while !link.is_null() && (*(*link).entry).id != id {
            link = (*link).next;
        }
    }
    link
}
