//! Claims: which patch provides which live state.

use core::ptr;

use super::refs::{ClaimRef, LinkRef, ListRef, LiveRef, PatchRef};
use super::{Engine, Kernel, Reason, Report};
use crate::abi::{CLAIM_INTRODUCED, CLAIM_MADE, Claim, ShadowLink};
use crate::error::{EINVAL, ENOMEM, Result};

impl<K: Kernel> Engine<K> {
    /// Claims every state of the patch, which is on the list, making live the
    /// ones that no other patch provides. Nothing is called yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` for a table that contradicts itself.
    pub(super) fn claim_states<'lock>(&self, patch: PatchRef<'lock>, list: ListRef<'lock>) -> Result {
        let (states, shadows) = (patch.nr_states(), patch.nr_shadows());
        let size = states * size_of::<Claim>() + shadows * size_of::<ShadowLink>();
        if size == 0 {
            return Ok(());
        }
        let claims: *mut Claim = self.kernel.alloc(size).cast();
        if claims.is_null() {
            return Err(ENOMEM);
        }
        patch.set_claim_array(claims);
        for index in 0..states {
            // SAFETY: There are as many states, and room for as many claims.
            unsafe { self.claim_state(patch, list, index, claims.add(index))? };
        }
        // SAFETY: The links follow the claims, in the same memory.
        let links: *mut ShadowLink = unsafe { claims.add(states).cast() };
        // Backwards, so that each claim's list is in table order.
        for index in (0..shadows).rev() {
            // SAFETY: There are as many shadow variables, and room for as many links.
            unsafe { self.link_shadow(patch, list, index, links.add(index))? };
        }
        Ok(())
    }

    /// Puts the claim on one state of the patch, as the newest.
    ///
    /// # Safety
    ///
    /// The patch is the one that is called, and has a state at `index`. `claim` is zeroed memory, the
    /// entry at `index` of its array.
    unsafe fn claim_state<'lock>(
        &self,
        patch: PatchRef<'lock>,
        list: ListRef<'lock>,
        index: usize,
        claim: *mut Claim,
    ) -> Result {
        // SAFETY: The patch is of this runtime, and has the state.
        let entry = unsafe { patch.state(index) };
        // SAFETY: An entry of the patch's table.
        let id = unsafe { (*entry).id };
        let (live, flags) = match list.find(id) {
            // SAFETY: As before.
            None => (self.make_live(list, unsafe { &*entry }, patch.nr_states() - index)?, CLAIM_INTRODUCED),
            Some(live) => (live, CLAIM_MADE),
        };
        if let Some(twice) = live.claims().filter(|newest| newest.patch() == patch) {
            self.kernel.report(&Report::of_claim(Reason::Duplicate, twice, None));
            return Err(EINVAL);
        }
        // SAFETY: The memory is the claim's. It is in place once it is filled.
        let claim = unsafe {
            (*claim).patch = patch.as_ptr();
            (*claim).entry = entry;
            (*claim).live = live.as_ptr();
            ClaimRef::follow(claim)
        };
        if let Some(claim) = claim {
            claim.set_flags(flags);
            claim.set_older(live.claims());
        }
        live.set_claims(claim);
        Ok(())
    }

    /// Adds one of the patch's shadow variables at the head of its claim's.
    ///
    /// # Safety
    ///
    /// The patch is the one that is called, and has a shadow variable at `index`. `link` is zeroed memory
    /// that goes with the patch's claims.
    unsafe fn link_shadow<'lock>(
        &self,
        patch: PatchRef<'lock>,
        list: ListRef<'lock>,
        index: usize,
        link: *mut ShadowLink,
    ) -> Result {
        // SAFETY: The patch is of this runtime, and has the variable. The memory is the link's, which is in
        // place once it has its entry.
        let link = unsafe {
            (*link).entry = patch.shadow(index);
            LinkRef::follow(link).ok_or(ENOMEM)?
        };
        let claim = list.find(link.entry().state).and_then(LiveRef::claims);
        let Some(claim) = claim.filter(|newest| newest.patch() == patch) else {
            self.kernel.report(&Report::stateless(patch, link));
            return Err(EINVAL);
        };
        link.set_next(claim.shadows());
        claim.set_shadows(Some(link));
        Ok(())
    }

    /// Gives up one claim. Shadow variables that no other patch declares for
    /// the state are freed: nobody could do it later (S16).
    ///
    /// # Safety
    ///
    /// No reference to the claim is used any more, nor a variable that only this claim's patch declares.
    pub(super) unsafe fn release(&self, claim: ClaimRef<'_>) {
        let live = claim.live();
        let newer = live.providers().find(|newer| newer.older() == Some(claim));
        match newer {
            Some(newer) => newer.set_older(claim.older()),
            None => live.set_claims(claim.older()),
        }
        claim.slot().clear();
        let mut declared = Declared::in_any(live.claims());
        for link in claim.links() {
            if declared.find(link.entry().id).is_none() {
                // SAFETY: Nobody else declares the variable, and of this patch nobody uses it.
                unsafe { self.kernel.shadow_free_all(link.entry()) };
            }
        }
        // SAFETY: The memory stays as long as the patch is on the list.
        unsafe {
            (*claim.as_ptr()).older = ptr::null_mut();
            (*claim.as_ptr()).live = ptr::null_mut();
        }
    }

    /// Gives up all claims of a patch.
    ///
    /// # Safety
    ///
    /// No reference to one of the claims is used any more, nor what only this patch has of the states:
    /// of one that it alone provides, the data have not been made.
    pub(super) unsafe fn release_all<'lock>(&self, patch: PatchRef<'lock>, list: ListRef<'lock>) {
        for claim in patch.claims() {
            let live = claim.live();
            // SAFETY: The claim is not looked at again.
            unsafe { self.release(claim) };
            if live.claims().is_none() {
                // SAFETY: Nobody provides the state.
                unsafe { self.free_live(list, live) };
            }
        }
        // SAFETY: None of the claims is in place any more.
        unsafe { self.kernel.free(patch.claim_array().cast()) };
        patch.set_claim_array(ptr::null_mut());
    }
}

/// Looks shadow variables up among those that claims declare.
///
/// Two versions of a patch list theirs in nearly the same order, so each search
/// starts where the one before ended: all of them together are linear.
pub(super) struct Declared<'lock> {
    claims: Option<ClaimRef<'lock>>,
    in_one: bool,
    next: Option<LinkRef<'lock>>,
}

impl<'lock> Declared<'lock> {
    /// Searches `claim` and all older ones of its state.
    pub(super) fn in_any(claim: Option<ClaimRef<'lock>>) -> Self {
        Self { claims: claim, in_one: false, next: None }
    }

    /// Searches `claim` only.
    pub(super) fn in_one(claim: ClaimRef<'lock>) -> Self {
        Self { claims: Some(claim), in_one: true, next: None }
    }

    /// The link of the shadow variable `id`, if it is declared.
    pub(super) fn find(&mut self, id: u64) -> Option<LinkRef<'lock>> {
        let mut found = search(self.next, id);
        let mut claim = self.claims;
        while let (None, Some(at)) = (found, claim) {
            found = search(at.shadows(), id);
            claim = if self.in_one { None } else { at.older() };
        }
        self.next = found?.next();
        found
    }
}

/// The first link of a variable, from one link of a claim on.
fn search(first: Option<LinkRef<'_>>, id: u64) -> Option<LinkRef<'_>> {
    core::iter::successors(first, |link| link.next()).find(|link| link.entry().id == id)
}
