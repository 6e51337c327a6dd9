//! The lifecycle of states, S1 to S16, on top of the four points at which a
//! stock kernel calls a patch.
//!
//! The kernel calls the callbacks of a patch's vmlinux object once per enable
//! and disable, under the livepatch mutex. From them the engine makes the
//! callbacks of states:
//!
//! | the kernel calls | while the patch is | the engine runs |
//! | --- | --- | --- |
//! | `pre_patch` | not on the list | S1, S2 (S3), S4: [`Engine::states_pre_patch`] |
//! | `post_patch` | being enabled | S5: [`Engine::states_post_patch`] |
//! | `post_unpatch` | being enabled | S7: [`Engine::states_post_unpatch`] |
//! | `pre_unpatch` | enabled | S6: [`Engine::states_pre_unpatch`] |
//! | `post_unpatch` | being disabled | S6: [`Engine::states_post_unpatch`] |
//! | `post_patch` | being disabled | S8: [`Engine::states_post_patch`] |
//! | a module's `post_unpatch` | on the list | S9: [`Engine::shadows_object_gone`] |
//!
//! A replaced patch gets no callback from the kernel: what is to be done for it
//! is done by the patch that replaces it.
//!
//! What it works on is in [`crate::abi`]: patches on a list, live states in
//! memory of no module, and claims, which say that a patch provides a state.
//! Every step is linear in the patch's own states and shadow variables.

mod check;
mod claim;
mod list;
mod live;
mod object;
mod report;

use core::ffi::{c_int, c_void};

use crate::abi::{
    self, CLAIM_HELD, CLAIM_INTRODUCED, CLAIM_MADE, CLAIM_REMOVING, Claim, LiveState, PatchNode, Phase,
    RawStateContext, Replace, STATE_BLOCK_DISABLE, ShadowEntry,
};
use crate::error::{Error, Result};

pub use report::{Reason, Report};

/// What the engine needs of the kernel it runs on.
///
/// All calls are made in process context, under the livepatch mutex.
///
/// # Safety
///
/// Memory and shadow variables stay as they are until they are freed here, and
/// are aligned to 8 bytes.
pub unsafe trait Kernel {
    /// Zeroed memory; null if there is none.
    fn alloc(&self, size: usize) -> *mut c_void;

    /// Frees what [`alloc`](Self::alloc) gave; nothing for null.
    ///
    /// # Safety
    ///
    /// `memory` is null, or from `alloc`, not freed yet and no longer used.
    unsafe fn free(&self, memory: *mut c_void);

    /// The data of a shadow variable, null if `obj` has none under `id`.
    fn shadow_get(&self, obj: *mut c_void, id: u64) -> *mut c_void;

    /// Adds a shadow variable with zeroed data; null if there is no memory.
    fn shadow_alloc(&self, obj: *mut c_void, id: u64, size: usize) -> *mut c_void;

    /// Frees a shadow variable without a destructor.
    ///
    /// # Safety
    ///
    /// Its data are no longer used.
    unsafe fn shadow_free(&self, obj: *mut c_void, id: u64);

    /// Frees all shadow variables that `entry` describes, each with its destructor (S9).
    ///
    /// # Safety
    ///
    /// `entry` is true and nobody uses one of the variables any more.
    unsafe fn shadow_free_all(&self, entry: &ShadowEntry);

    /// Keeps a module from being unloaded.
    ///
    /// # Safety
    ///
    /// `module` is loaded.
    unsafe fn pin(&self, module: *mut c_void);

    /// Takes one [`pin`](Self::pin) back: the module may be gone when this returns.
    ///
    /// # Safety
    ///
    /// `module` is pinned.
    unsafe fn unpin(&self, module: *mut c_void);

    /// Logs one line at level err.
    fn report(&self, report: &Report);
}

/// The engine, on a kernel.
#[derive(Debug)]
pub struct Engine<K> {
    kernel: K,
}

impl<K: Kernel> Engine<K> {
    /// An engine on `kernel`.
    pub const fn new(kernel: K) -> Self {
        Self { kernel }
    }

    /// S1 to S4: the patch is being enabled, before any function is redirected.
    ///
    /// # Errors
    ///
    /// `EINVAL` where S1 refuses the patch, `ENOMEM`, or what a `pre_patch`
    /// failed with (S3). The system is then as it was before the call.
    ///
    /// # Safety
    ///
    /// For this and all other functions: `node` is the calling patch, true and
    /// in place until it is off the list; the livepatch mutex is held; calls
    /// come in an order that the kernel makes.
    pub unsafe fn states_pre_patch(&self, node: *mut PatchNode) -> Result {
        // SAFETY: By contract.
        unsafe {
            self.link(node)?;
            if let Err(error) = self.claim_states(node).and_then(|()| self.check(node)) {
                self.leave(node);
                return Err(error);
            }
            (*node).phase = Phase::ENABLING;
            if let Err(error) = self.introduce(node) {
                self.leave(node);
                return Err(error);
            }
            if replaces(node) {
                self.states_pre_unpatch_replaced(node);
            }
        }
        Ok(())
    }

    /// S5, or S8 where a disable is taken back.
    ///
    /// # Safety
    ///
    /// As for [`states_pre_patch`](Self::states_pre_patch).
    pub unsafe fn states_post_patch(&self, node: *mut PatchNode) {
        // SAFETY: By contract.
        unsafe {
            if (*node).phase == Phase::DISABLING {
                self.resume(node);
            } else {
                if replaces(node) {
                    self.states_post_unpatch_replaced(node);
                }
                for claim in claims(node) {
                    if (*claim).flags & CLAIM_INTRODUCED != 0 {
                        call(claim, (*(*claim).entry).post_patch);
                    }
                }
                for claim in claims(node) {
                    take_over(claim);
                }
                if replaces(node) {
                    self.release_replaced(node);
                }
                for claim in claims(node) {
                    (*claim).flags &= CLAIM_MADE;
                }
            }
            (*node).phase = Phase::ENABLED;
        }
    }

    /// S6: the patch is being disabled, while every task still runs its code.
    ///
    /// # Safety
    ///
    /// As for [`states_pre_patch`](Self::states_pre_patch).
    pub unsafe fn states_pre_unpatch(&self, node: *mut PatchNode) {
        // SAFETY: By contract.
        unsafe {
            (*node).phase = Phase::DISABLING;
            for claim in claims(node).rev() {
                if !is_only(claim) {
                    continue;
                }
                if (*(*claim).entry).flags & STATE_BLOCK_DISABLE != 0 {
                    self.hold(claim);
                } else {
                    call(claim, (*(*claim).entry).pre_unpatch);
                    (*claim).flags |= CLAIM_REMOVING;
                }
            }
        }
    }

    /// The end of S6, or S7 where an enable is taken back.
    ///
    /// # Safety
    ///
    /// As for [`states_pre_patch`](Self::states_pre_patch).
    pub unsafe fn states_post_unpatch(&self, node: *mut PatchNode) {
        // SAFETY: By contract.
        unsafe {
            if (*node).phase == Phase::ENABLING && replaces(node) {
                self.states_post_patch_replaced(node);
            }
            let mut held = false;
            for claim in claims(node).rev() {
                held |= (*claim).flags & CLAIM_HELD != 0;
                if (*claim).flags & (CLAIM_REMOVING | CLAIM_INTRODUCED) != 0 {
                    call(claim, (*(*claim).entry).post_unpatch);
                    self.end(claim);
                }
            }
            if held {
                self.stay(node);
            } else {
                self.leave(node);
            }
        }
    }

    /// S4: the states that will be removed when the transition finishes.
    unsafe fn states_pre_unpatch_replaced(&self, node: *mut PatchNode) {
        // SAFETY: By contract of the caller.
        unsafe {
            for other in list::older_than(node) {
                for claim in claims(other).rev() {
                    if owns(claim) {
                        call(claim, (*(*claim).entry).pre_unpatch);
                        (*claim).flags |= CLAIM_REMOVING;
                    }
                }
            }
        }
    }

    /// S5: the removed states are gone, in the order of S4.
    unsafe fn states_post_unpatch_replaced(&self, node: *mut PatchNode) {
        // SAFETY: By contract of the caller.
        unsafe {
            for other in list::older_than(node) {
                for claim in claims(other).rev() {
                    if (*claim).flags & CLAIM_REMOVING != 0 {
                        call(claim, (*(*claim).entry).post_unpatch);
                        self.end(claim);
                    }
                }
            }
        }
    }

    /// S7: the states that S4 began to remove stay, in reverse order.
    unsafe fn states_post_patch_replaced(&self, node: *mut PatchNode) {
        // SAFETY: By contract of the caller.
        unsafe {
            for other in list::oldest_until(node) {
                for claim in claims(other) {
                    if (*claim).flags & CLAIM_REMOVING != 0 {
                        call(claim, (*(*claim).entry).post_patch);
                        (*claim).flags &= !CLAIM_REMOVING;
                    }
                }
            }
        }
    }

    /// S2, and S3 where a `pre_patch` fails.
    unsafe fn introduce(&self, node: *mut PatchNode) -> Result {
        // SAFETY: By contract of the caller.
        unsafe {
            for claim in claims(node) {
                if (*claim).flags & CLAIM_INTRODUCED == 0 {
                    publish(claim);
                    continue;
                }
                if let Err(error) = make(claim) {
                    self.end(claim);
                    for earlier in claims(node).rev() {
                        if (*earlier).flags & CLAIM_MADE != 0 && (*earlier).flags & CLAIM_INTRODUCED != 0 {
                            call(earlier, (*(*earlier).entry).post_unpatch);
                            self.end(earlier);
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// S8: the disable is taken back.
    unsafe fn resume(&self, node: *mut PatchNode) {
        // SAFETY: By contract of the caller.
        unsafe {
            for claim in claims(node) {
                if (*claim).flags & CLAIM_REMOVING != 0 {
                    call(claim, (*(*claim).entry).post_patch);
                }
                if (*claim).flags & CLAIM_HELD != 0 {
                    self.kernel.unpin((*node).module);
                }
                (*claim).flags &= CLAIM_MADE;
            }
        }
    }

    /// S13: the state stays though its last patch is disabled.
    unsafe fn hold(&self, claim: *mut Claim) {
        // SAFETY: By contract of the caller.
        unsafe {
            (*claim).flags |= CLAIM_HELD;
            self.kernel.pin((*(*claim).patch).module);
            self.kernel.report(&Report::held(claim));
        }
    }

    /// Drops the data and frees the shadow variables of a state that is over,
    /// and takes it from every patch that provides it (S9, S10, S12).
    unsafe fn end(&self, claim: *mut Claim) {
        // SAFETY: By contract of the caller; the state's callbacks have run.
        unsafe {
            let (live, entry) = ((*claim).live, (*claim).entry);
            // First out of reach: dropping them may run code that asks for them.
            for provider in claim::of_state(live) {
                withdraw(provider);
            }
            if (*claim).flags & CLAIM_MADE != 0
                && let Some(drop_data) = (*entry).drop_data
            {
                drop_data(data(live));
            }
            // Oldest first, so that the owner's destructors run.
            while let Some(oldest) = claim::of_state(live).last() {
                self.release(oldest);
            }
            self.free_live((*(*claim).patch).registry, live);
        }
    }
}

/// Whether the patch replaces all others.
unsafe fn replaces(node: *mut PatchNode) -> bool {
    // SAFETY: By contract of the caller.
    unsafe { (*node).replace != Replace::NONE }
}

/// The claims of a patch that are not given up, in table order.
unsafe fn claims(node: *mut PatchNode) -> impl DoubleEndedIterator<Item = *mut Claim> {
    // SAFETY: By contract of the caller, and within the array.
    unsafe { all_claims(node).filter(|claim| !(**claim).live.is_null()) }
}

/// The claims of a patch, also those that are given up, in table order.
unsafe fn all_claims(node: *mut PatchNode) -> impl DoubleEndedIterator<Item = *mut Claim> {
    // SAFETY: A patch on the list has as many claims as states, or none.
    let (first, count, size) = unsafe {
        let count = if (*node).claims.is_null() { 0 } else { (*node).nr_states };
        ((*node).claims, count, (*node).claim_size as usize)
    };
    // SAFETY: Within the array, whose entries have the size that the patch's runtime gave them.
    (0..count).map(move |index| unsafe { first.byte_add(index * size) })
}

/// Whether no other patch provides the claim's state.
unsafe fn is_only(claim: *mut Claim) -> bool {
    // SAFETY: By contract of the caller.
    unsafe { (*(*claim).live).claims == claim && (*claim).older.is_null() }
}

/// Whether the claim's patch owns the state.
unsafe fn owns(claim: *mut Claim) -> bool {
    // SAFETY: By contract of the caller.
    unsafe { (*(*claim).live).claims == claim }
}

/// The data of a live state.
unsafe fn data(live: *mut LiveState) -> *mut c_void {
    // SAFETY: By contract of the caller.
    unsafe { (*live).data }
}

/// Makes the data of a state that is introduced, and hands them to the patch's code.
unsafe fn make(claim: *mut Claim) -> Result {
    // SAFETY: By contract of the caller; the storage has the layout that the entry asks for.
    unsafe {
        // Its shadow variables may be made from now on, its data are not made yet (S18).
        (*(*(*claim).entry).slot).set_live((*claim).live);
        if let Some(pre_patch) = (*(*claim).entry).pre_patch {
            let errno: c_int = pre_patch(&context(claim), data((*claim).live));
            if errno != 0 {
                return Err(Error::from_errno(errno));
            }
        }
        (*claim).flags |= CLAIM_MADE;
        publish(claim);
    }
    Ok(())
}

/// Hands the state's data to the code of the claim's patch.
unsafe fn publish(claim: *mut Claim) {
    // SAFETY: The entry and its slot are in the patch's module.
    unsafe {
        let slot = &*(*(*claim).entry).slot;
        slot.set_live((*claim).live);
        slot.set(data((*claim).live));
    }
}

/// Takes the state's data from the code of the claim's patch.
unsafe fn withdraw(claim: *mut Claim) {
    // SAFETY: As for `publish`.
    unsafe { (*(*(*claim).entry).slot).clear() }
}

/// Calls one of the owner's callbacks that can't fail, if the state has it.
unsafe fn call(claim: *mut Claim, callback: Option<abi::Callback>) {
    if let Some(callback) = callback {
        // SAFETY: The claim's patch is on the list, so its module is loaded; the
        // data were made by a `pre_patch` of the same layout (S1).
        unsafe { callback(&context(claim), data((*claim).live)) }
    }
}

/// S5: `take_over` where a state continues and its version grew.
unsafe fn take_over(claim: *mut Claim) {
    // SAFETY: As for `call`; the older claim is that of the state's owner so far.
    unsafe {
        let (entry, owner) = ((*claim).entry, (*claim).older);
        if owner.is_null() || (*(*owner).entry).version >= (*entry).version {
            return;
        }
        if let Some(take_over) = (*entry).take_over {
            take_over(&context(claim), data((*claim).live), (*(*owner).entry).version);
        }
    }
}

/// What a callback of the claim's patch is told.
unsafe fn context(claim: *mut Claim) -> RawStateContext {
    // SAFETY: By contract of the caller.
    unsafe { RawStateContext { patch: (*(*claim).patch).name, state: (*claim).entry } }
}
