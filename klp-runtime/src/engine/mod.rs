//! The lifecycle of states, [S1](crate::lifecycle#s1) to [S23](crate::lifecycle#s23), on top of the four points
//! at which a stock kernel calls a patch.
//!
//! The kernel calls the callbacks of a patch's vmlinux object once per enable
//! and disable, under the livepatch mutex. From them the engine makes the
//! callbacks of states:
//!
//! | the kernel calls | while the patch is | the engine runs |
//! | --- | --- | --- |
//! | `pre_patch` | not on the list | [S1](crate::lifecycle#s1), [S2](crate::lifecycle#s2) ([S3](crate::lifecycle#s3)), [S4](crate::lifecycle#s4): `states_pre_patch` |
//! | `post_patch` | being enabled | [S5](crate::lifecycle#s5): `states_post_patch` |
//! | `post_unpatch` | being enabled | [S7](crate::lifecycle#s7): `states_post_unpatch` |
//! | `pre_unpatch` | enabled | [S6](crate::lifecycle#s6): `states_pre_unpatch` |
//! | `post_unpatch` | being disabled | [S6](crate::lifecycle#s6): `states_post_unpatch` |
//! | `post_patch` | being disabled | [S8](crate::lifecycle#s8): `states_post_patch` |
//! | a module's `post_unpatch` | on the list | [S9](crate::lifecycle#s9): [`Engine::shadows_object_gone`] |
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
mod refs;
mod report;

use core::ffi::{c_char, c_void};
use core::ptr;

use crate::abi::{
    CLAIM_HELD, CLAIM_INTRODUCED, CLAIM_MADE, CLAIM_MIGRATED, CLAIM_REMOVING, Callback, LIVE_BLOCKED,
    PatchNode, Phase, RawStateContext, STATE_BLOCK_DISABLE, ShadowEntry,
};
use crate::error::{Error, Result};
use refs::{ClaimRef, PatchRef};

pub use report::Report;

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

    /// Frees all shadow variables that `entry` describes, each with its destructor ([S9](crate::lifecycle#s9)).
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

    /// Takes the reserved entry out of the table of states of the patch's own `klp_patch`
    /// ([S14](crate::lifecycle#s14)).
    ///
    /// # Safety
    ///
    /// The patch is enabled and lists the entry, first.
    unsafe fn drop_reserved_entry(&self, node: *mut PatchNode);

    /// A callback begins, of the state or object with this name, which the log names if it takes long; null
    /// where it has returned. The next begins only then.
    fn watch(&self, name: *const c_char);

    /// Logs one line at level err.
    fn report(&self, report: &Report<'_>);
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

    /// [S1](crate::lifecycle#s1) to [S4](crate::lifecycle#s4): the patch is being enabled, before any function
    /// is redirected.
    ///
    /// # Errors
    ///
    /// `EINVAL` where [S1](crate::lifecycle#s1) refuses the patch, `ENOMEM`, or what a `pre_patch`
    /// failed with ([S3](crate::lifecycle#s3)). The system is then as it was before the call.
    fn states_pre_patch(&self, patch: PatchRef<'_>) -> Result {
        let list = self.link(patch)?;
        let claimed = self.claim_states(patch, list).and_then(|()| self.check(patch));
        patch.set_phase(Phase::ENABLING);
        if let Err(error) = claimed.and_then(|()| self.introduce(patch)) {
            // SAFETY: What was made is removed again, and nothing else of the patch runs yet.
            unsafe { self.release_and_unlink(patch) };
            return Err(error);
        }
        if patch.replaces() {
            self.states_pre_unpatch_replaced(patch);
        }
        Ok(())
    }

    /// [S5](crate::lifecycle#s5), or [S8](crate::lifecycle#s8) where a disable is taken back.
    fn states_post_patch(&self, patch: PatchRef<'_>) {
        // A patch that has nothing to lose has left the list (S14).
        let Some(list) = patch.registry() else { return };
        if patch.phase() == Phase::DISABLING {
            self.resume(patch);
            patch.set_phase(Phase::ENABLED);
            return;
        }
        if patch.replaces() {
            patch.older_ones().filter(|other| other.phase() == Phase::ENABLED).for_each(PatchRef::stop);
            self.states_post_unpatch_replaced(patch);
        }
        for claim in patch.claims().filter(|claim| claim.has(CLAIM_INTRODUCED)) {
            self.call(claim, claim.entry().post_patch);
        }
        for claim in patch.claims() {
            self.take_over(claim);
        }
        for claim in patch.claims() {
            // SAFETY: No task runs code of the patches that are replaced, and their works are stopped.
            unsafe { self.settle(claim) };
        }
        if patch.replaces() {
            // SAFETY: Every task runs the new code, and the loops over others are done.
            unsafe { self.release_replaced(patch) };
        }
        patch.set_phase(Phase::ENABLED);
        if patch.has_nothing_to_lose() {
            self.unlink(patch, list);
            // SAFETY: It replaces, or the engine would not be called: so it lists the entry.
            unsafe { self.kernel.drop_reserved_entry(patch.as_ptr()) };
        }
    }

    /// [S6](crate::lifecycle#s6): the patch is being disabled, while every task still runs its code.
    fn states_pre_unpatch(&self, patch: PatchRef<'_>) {
        if patch.registry().is_none() {
            return;
        }
        patch.set_phase(Phase::DISABLING);
        for claim in patch.claims().rev().filter(|claim| claim.is_only()) {
            if claim.live().is_blocked() {
                self.hold(claim);
            } else {
                self.call(claim, claim.entry().pre_unpatch);
                claim.mark(CLAIM_REMOVING);
            }
        }
    }

    /// What comes first where a patch is off: what runs on its own in it is stopped
    /// ([S17](crate::lifecycle#s17)), and the states that it would have removed go on
    /// ([S7](crate::lifecycle#s7)).
    fn before_post_unpatch(&self, patch: PatchRef<'_>) {
        patch.stop();
        if patch.phase() == Phase::ENABLING && patch.replaces() {
            self.states_post_patch_replaced(patch);
        }
    }

    /// The end of [S6](crate::lifecycle#s6), or [S7](crate::lifecycle#s7) where an enable is taken back.
    fn states_post_unpatch(&self, patch: PatchRef<'_>) {
        let mut held = false;
        for claim in patch.claims().rev() {
            held |= claim.has(CLAIM_HELD);
            if claim.has(CLAIM_REMOVING | CLAIM_INTRODUCED) {
                self.call(claim, claim.entry().post_unpatch);
                // SAFETY: No task runs the patch's code, nor another patch's that provides the state: there
                // is none. The claim is not looked at again.
                unsafe { self.remove_state(claim) };
            }
        }
        // SAFETY: The loop over the claims is done, and no task runs the patch's code.
        unsafe {
            if held {
                self.keep_held(patch);
            } else {
                self.release_and_unlink(patch);
            }
        }
    }

    /// [S4](crate::lifecycle#s4): the states that will be removed when the transition finishes.
    fn states_pre_unpatch_replaced(&self, patch: PatchRef<'_>) {
        for other in patch.older_ones() {
            for claim in other.claims().rev().filter(|claim| claim.is_owner()) {
                self.call(claim, claim.entry().pre_unpatch);
                claim.mark(CLAIM_REMOVING);
            }
        }
    }

    /// [S5](crate::lifecycle#s5): the removed states are gone, in the order of [S4](crate::lifecycle#s4).
    fn states_post_unpatch_replaced(&self, patch: PatchRef<'_>) {
        for other in patch.older_ones() {
            for claim in other.claims().rev().filter(|claim| claim.has(CLAIM_REMOVING)) {
                self.call(claim, claim.entry().post_unpatch);
                // SAFETY: No task runs code of the replaced patches. The claim is not looked at again.
                unsafe { self.remove_state(claim) };
            }
        }
    }

    /// [S7](crate::lifecycle#s7): the states that [S4](crate::lifecycle#s4) began to remove stay, in reverse
    /// order.
    fn states_post_patch_replaced(&self, patch: PatchRef<'_>) {
        for other in patch.oldest_until() {
            for claim in other.claims().filter(|claim| claim.has(CLAIM_REMOVING)) {
                self.call(claim, claim.entry().post_patch);
                claim.unmark(CLAIM_REMOVING);
            }
        }
    }

    /// [S2](crate::lifecycle#s2), and [S3](crate::lifecycle#s3) where a `pre_patch` fails;
    /// [S22](crate::lifecycle#s22) for the states that continue with another layout.
    fn introduce(&self, patch: PatchRef<'_>) -> Result {
        publish_continuing(patch);
        for claim in patch.claims() {
            let made = if claim.has(CLAIM_INTRODUCED) { self.make(claim) } else { self.migrate(claim) };
            if let Err(error) = made {
                self.kernel.report(&Report::failed(claim, error));
                self.take_back(patch, claim);
                return Err(error);
            }
            publish(claim);
        }
        Ok(())
    }

    /// [S3](crate::lifecycle#s3): removes the states that are introduced already, and what the failed one had
    /// made.
    fn take_back(&self, patch: PatchRef<'_>, failed: ClaimRef<'_>) {
        patch.stop();
        if failed.has(CLAIM_INTRODUCED) {
            // SAFETY: No code of the patch runs. The claim is not looked at again.
            unsafe { self.remove_state(failed) };
        }
        for earlier in patch.claims().rev().filter(|claim| claim.has(CLAIM_MADE)) {
            if earlier.has(CLAIM_INTRODUCED) {
                self.call(earlier, earlier.entry().post_unpatch);
                // SAFETY: No code of the patch runs. The claim is not looked at again.
                unsafe { self.remove_state(earlier) };
            }
        }
    }

    /// The end of [S5](crate::lifecycle#s5) for one state: what the patch says of it holds from now on
    /// ([S13](crate::lifecycle#s13), [S19](crate::lifecycle#s19)), and data that `migrate` has made take the
    /// place of the old ones ([S22](crate::lifecycle#s22)).
    ///
    /// # Safety
    ///
    /// No code of the patches that are replaced runs, but where they were forced off.
    unsafe fn settle(&self, claim: ClaimRef<'_>) {
        let (entry, live) = (claim.entry(), claim.live());
        live.set_version(live.version().max(entry.version));
        if entry.flags & STATE_BLOCK_DISABLE != 0 {
            live.set_flags(live.flags() | LIVE_BLOCKED);
        } else if claim.patch().replaces() {
            live.set_flags(live.flags() & !LIVE_BLOCKED);
        }
        if claim.has(CLAIM_MIGRATED) {
            claim.older_ones().for_each(|older| older.slot().clear());
            let drop_data = claim.older().and_then(|owner| owner.entry().drop_data);
            // SAFETY: This patch's code has the new data, and the other patches' does not run. The owner's
            // data have the layout that the state's had so far (S1).
            unsafe { self.end_data(live, drop_data) };
            live.set_data(claim.data());
            live.set_layout(entry.layout);
            claim.set_data(ptr::null_mut());
        }
        claim.set_flags(CLAIM_MADE);
    }

    /// [S8](crate::lifecycle#s8): the disable is taken back.
    fn resume(&self, patch: PatchRef<'_>) {
        for claim in patch.claims() {
            if claim.has(CLAIM_REMOVING) {
                self.call(claim, claim.entry().post_patch);
            }
            if claim.has(CLAIM_HELD) {
                // SAFETY: `hold` has pinned it; the kernel has a reference as well.
                unsafe { self.kernel.unpin(patch.module()) };
            }
            claim.set_flags(CLAIM_MADE);
        }
    }

    /// [S13](crate::lifecycle#s13): the state stays though its last patch is disabled.
    fn hold(&self, claim: ClaimRef<'_>) {
        claim.mark(CLAIM_HELD);
        // SAFETY: The patch is on the list, so its module is loaded.
        unsafe { self.kernel.pin(claim.patch().module()) };
        self.kernel.report(&Report::held(claim));
    }

    /// Drops the data and frees the shadow variables of a state that is over, and takes it from every patch
    /// that provides it ([S9](crate::lifecycle#s9), [S10](crate::lifecycle#s10), [S12](crate::lifecycle#s12)).
    ///
    /// # Safety
    ///
    /// The state's callbacks have run, no task runs code of a patch that provides it, and no reference
    /// to the state or a claim on it is used any more.
    unsafe fn remove_state(&self, claim: ClaimRef<'_>) {
        let (live, list) = (claim.live(), claim.patch().registry());
        let drop_data = if claim.has(CLAIM_MADE) { claim.entry().drop_data } else { None };
        // First out of reach: dropping them may run code that asks for them.
        for provider in live.providers() {
            provider.slot().clear();
        }
        // SAFETY: The slots are empty, and no code that has the data runs, but where it was forced off.
        unsafe { self.end_data(live, drop_data) };
        // Oldest first, so that the owner's destructors run.
        while let Some(oldest) = live.providers().last() {
            // SAFETY: The state is over: nobody uses its variables.
            unsafe { self.release(oldest) };
        }
        if let Some(list) = list {
            // SAFETY: All claims are given up, and the data are dropped.
            unsafe { self.free_live(list, live) };
        }
    }

    /// Makes the data of a state that is introduced.
    fn make(&self, claim: ClaimRef<'_>) -> Result {
        // Its shadow variables may be made from now on, its data are not made yet (S18).
        claim.slot().set_live(claim.live().as_ptr());
        if let Some(pre_patch) = claim.entry().pre_patch {
            // SAFETY: The patch is called, so its module is loaded; the storage has the layout that the entry
            // asks for.
            let errno = self.watched(claim, |context| unsafe { pre_patch(context, claim.live().data()) });
            if errno != 0 {
                return Err(Error::from_errno(errno));
            }
        }
        claim.mark(CLAIM_MADE);
        Ok(())
    }

    /// [S22](crate::lifecycle#s22): makes data of the patch's layout of those of the state, where they have
    /// another.
    fn migrate(&self, claim: ClaimRef<'_>) -> Result {
        if let Some(migrate) = claim.entry().from.migrate
            && claim.migrates()
        {
            let (old, new) = (claim.live().data(), claim.data());
            // SAFETY: The patch is called, so its module is loaded; the old data have the layout that the entry
            // comes from, the storage has that which it asks for.
            let errno = self.watched(claim, |context| unsafe { migrate(context, old, new) });
            if errno != 0 {
                return Err(Error::from_errno(errno));
            }
            claim.mark(CLAIM_MIGRATED);
        }
        Ok(())
    }

    /// [S5](crate::lifecycle#s5): `take_over` where a state continues and its version grew, unless `migrate` was
    /// called.
    fn take_over(&self, claim: ClaimRef<'_>) {
        let from = claim.live().version();
        if let Some(take_over) = claim.entry().take_over
            && from < claim.entry().version
            && !claim.has(CLAIM_MIGRATED)
        {
            // SAFETY: The patch is called, so its module is loaded; the data have its layout (S1).
            self.watched(claim, |context| unsafe { take_over(context, claim.own_data(), from) });
        }
    }

    /// Calls one of the claim's callbacks that can't fail, if the state has it.
    #[inline(never)]
    fn call(&self, claim: ClaimRef<'_>, callback: Option<Callback>) {
        if let Some(callback) = callback {
            // SAFETY: The claim's patch is on the list, so its module is loaded; the
            // data were made in the layout that it asks for (S1, S22).
            self.watched(claim, |context| unsafe { callback(context, claim.own_data()) });
        }
    }

    /// Makes a call of the claim's state, which the log names where the call takes long.
    fn watched<R>(&self, claim: ClaimRef<'_>, callback: impl FnOnce(&RawStateContext) -> R) -> R {
        let context = claim.context();
        self.kernel.watch(claim.title().as_ptr());
        let returned = callback(&context);
        self.kernel.watch(ptr::null());
        returned
    }
}

/// Lets the patch's code reach the states that continue, before its first callback; data of another layout once they
/// are made ([S18](crate::lifecycle#s18)).
fn publish_continuing(patch: PatchRef<'_>) {
    for claim in patch.claims().filter(|claim| claim.has(CLAIM_MADE)) {
        if claim.migrates() {
            claim.slot().set_live(claim.live().as_ptr());
        } else {
            publish(claim);
        }
    }
}

/// Hands the state's data to the code of the claim's patch.
fn publish(claim: ClaimRef<'_>) {
    claim.slot().set_live(claim.live().as_ptr());
    claim.slot().set(claim.own_data());
}
