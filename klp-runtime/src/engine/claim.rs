//! Claims: which patch provides which live state.

use core::ptr;

use super::refs::{ClaimRef, LinkRef, ListRef, LiveRef, PatchRef};
use super::{Engine, Kernel, Report};
use crate::abi::{CLAIM_FORCED, CLAIM_INTRODUCED, CLAIM_MADE, CLAIM_MIGRATED, Claim, ShadowLink};
use crate::error::{ENOMEM, Result};

impl<K: Kernel> Engine<K> {
    /// Claims every state of the patch, which is on the list, making live the
    /// ones that no other patch provides. Nothing is called yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` for a table that contradicts itself.
    pub(super) fn claim_states<'lock>(&self, patch: PatchRef<'lock>, list: ListRef<'lock>) -> Result {
        let (states, shadows) = (patch.nr_states(), patch.nr_shadows());
        let claim_size = patch.claim_size() as usize;
        let size = states * claim_size + shadows * size_of::<ShadowLink>();
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
            unsafe { self.claim_state(patch, list, index, claims.byte_add(index * claim_size))? };
        }
        // SAFETY: The links follow the claims, in the same memory.
        let links: *mut ShadowLink = unsafe { claims.byte_add(states * claim_size).cast() };
        // Backwards, so that each claim's list is in table order.
        for index in (0..shadows).rev() {
            // SAFETY: There are as many shadow variables, and room for as many links.
            unsafe { self.link_shadow(patch, list, index, links.add(index))? };
        }
        patch.claims().for_each(join);
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
        // SAFETY: The patch has the state, in a table that stays as it is.
        let entry = unsafe { &*patch.state(index) };
        let live = match list.find(entry.id) {
            Some(live) => live,
            None => self.add_live(list, entry.id, patch.nr_states() - index)?,
        };
        let newest = live.claims();
        if let Some(twice) = newest.filter(|newest| newest.patch() == patch) {
            return self.refuse(&Report::duplicate(twice));
        }
        // SAFETY: The memory is the claim's, which is in place once it is filled.
        let claim = unsafe {
            (*claim).patch = patch.as_ptr();
            (*claim).entry = entry;
            (*claim).live = live.as_ptr();
            ClaimRef::follow(claim).ok_or(ENOMEM)?
        };
        claim.set_older(newest);
        live.set_claims(Some(claim));
        if newest.is_none() {
            claim.set_flags(CLAIM_INTRODUCED);
            live.set_version(entry.version);
            live.set_flags(0);
            live.set_layout(entry.layout);
        } else {
            claim.set_flags(CLAIM_MADE);
            if !claim.migrates() {
                return Ok(());
            }
        }
        let data = self.make_data(live, entry.layout.size);
        if newest.is_none() {
            live.set_data(data)
        } else {
            claim.set_data(data)
        }
        if data.is_null() { Err(ENOMEM) } else { Ok(()) }
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
        // SAFETY: The patch has the variable. The memory is the link's, which is in place once it has its entry.
        let link = unsafe {
            (*link).entry = patch.shadow(index);
            LinkRef::follow(link).ok_or(ENOMEM)?
        };
        let claim = list.find(link.entry().state).and_then(LiveRef::claims);
        let Some(claim) = claim.filter(|newest| newest.patch() == patch) else {
            return self.refuse(&Report::no_state(patch, link));
        };
        link.set_claim(claim);
        link.set_next(claim.shadows());
        claim.set_shadows(Some(link));
        Ok(())
    }

    /// Gives up one claim. Shadow variables that no other patch declares for the state are freed: nobody could
    /// do it later ([S16](crate::lifecycle#s16)). What tasks may still use, as they were forced to the end of a
    /// transition, stays with the claim ([S21](crate::lifecycle#s21)).
    ///
    /// # Safety
    ///
    /// No reference to the claim is used any more, nor, unless its patch was forced off, a variable that
    /// it alone declares.
    pub(super) unsafe fn release(&self, claim: ClaimRef<'_>) {
        let live = claim.live();
        let newer = live.providers().find(|newer| newer.older() == Some(claim));
        match newer {
            Some(newer) => newer.set_older(claim.older()),
            None => live.set_claims(claim.older()),
        }
        claim.slot().clear();
        if claim.patch().is_forced() {
            return keep_forced(claim);
        }
        if claim.has(CLAIM_MIGRATED)
            && let Some(drop_data) = claim.entry().drop_data
        {
            // SAFETY: `migrate` has made them, and the patch whose code has them is taken back (S22).
            unsafe { drop_data(claim.data()) };
        }
        // SAFETY: They were dropped, or never made.
        unsafe { self.free_data(live, claim.data()) };
        claim.set_data(ptr::null_mut());
        for link in claim.links() {
            if !link.unlink() {
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
    /// No reference to one of the claims is used any more, nor, unless it was forced off, what only this
    /// patch has of the states: of one that it alone provides, the data have not been made.
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
        if patch.is_forced() && !patch.claim_array().is_null() {
            self.kernel.report(&Report::forced(patch));
            return;
        }
        // SAFETY: None of the claims is in place any more.
        unsafe { self.kernel.free(patch.claim_array().cast()) };
        patch.set_claim_array(ptr::null_mut());
    }
}

/// Keeps the claim of a patch that was forced off: its module stays loaded, tasks may run its code
/// ([S21](crate::lifecycle#s21)). Its shadow variables are declared by it for ever, so nobody frees them.
fn keep_forced(claim: ClaimRef<'_>) {
    let live = claim.live();
    claim.set_flags(CLAIM_FORCED);
    claim.set_older(live.forced());
    live.set_forced(Some(claim));
    for link in claim.links() {
        let other = link.older().or(link.newer());
        link.unlink();
        if let Some(other) = other {
            let oldest = other.older_ones().last().unwrap_or(other);
            oldest.set_older(Some(link));
            link.set_newer(Some(oldest));
        }
    }
}

/// Links the claim's shadow variables to the same ones of the patches before.
///
/// Two versions of a patch list theirs in nearly the same order, so each search
/// starts where the one before ended: all of them together are linear.
fn join(claim: ClaimRef<'_>) {
    claim.older_ones().for_each(|other| join_with(claim, other));
    claim.live().forced_claims().for_each(|other| join_with(claim, other));
}

/// Links those that no newer patch than the other claim's declares.
#[inline(never)]
fn join_with<'lock>(claim: ClaimRef<'lock>, other: ClaimRef<'lock>) {
    let mut next = other.shadows();
    for link in claim.links().filter(|link| link.older().is_none()) {
        let id = link.entry().id;
        if let Some(same) = search(next, id).or_else(|| search(other.shadows(), id)) {
            next = same.next();
            link.set_older(Some(same));
            same.set_newer(Some(link));
        }
    }
}

/// The first link of a variable, from one link of a claim on.
fn search(first: Option<LinkRef<'_>>, id: u64) -> Option<LinkRef<'_>> {
    core::iter::successors(first, |link| link.next()).find(|link| link.entry().id == id)
}
