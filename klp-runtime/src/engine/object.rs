//! The objects of a patch: callbacks of their own beside the engine's, and [S9](crate::lifecycle#s9).
//!
//! The engine is called by the callbacks of the object vmlinux. Where the patch has callbacks for it
//! as well, those are within the states: made after them, taken back before them, so that they may use
//! the states' data.
//!
//! # [S9](crate::lifecycle#s9): a module whose objects have shadow variables goes
//!
//! The kernel calls the `post_unpatch` of a patch's object when the patch is disabled, and when the
//! object's module goes: after the module's exit function, or after its init function has failed, so
//! when none of its code runs and none of its objects is used any more. So each patch lists the
//! modules of its shadow variables as objects, without functions if need be, and is told; of its other modules it
//! is told as well, for those patches that are not.
//!
//! * The livepatch mutex is held, as in all of the engine: nothing ends a state, and no patch comes or
//!   goes, at the same time. (A module notifier would run without it.)
//! * Every patch on the kernel's list is called, in the middle of a transition too, and no other: a
//!   replaced one is off both lists, whether its module is still loaded or not.
//! * Where several patches provide the state, the first call frees and the others find nothing. The
//!   newest patch that declares the variable decides, whichever is called: its destructor runs, and the
//!   variable stays if it does not say there that it goes with the module.
//! * At the end of a disable ([S6](crate::lifecycle#s6)) or of an enable that is taken back
//!   ([S7](crate::lifecycle#s7)) the kernel calls the vmlinux object first: the patch is then [off the
//!   list](Phase::IDLE), and the variables, if they are still there, are another patch's, whose module is as
//!   loaded as before.
//!
//! A patch that is [held](Phase::HELD) ([S13](crate::lifecycle#s13)) is not on the kernel's list, so it is not
//! called: another patch that has the module as an object frees for it. Where there is none, its variables of
//! that module's objects stay, and what takes the state on may meet them on other objects. A stock kernel has
//! no way to be told without the livepatch mutex or a patch on the kernel's list:
//!
//! * A module notifier runs without that mutex, beside the patch that takes the held state on and ends
//!   it. That patch would have to unregister the notifier of another module before it lets the module go,
//!   with the mutex held, and so wait for a chain that may have any module's code in it.
//! * To keep the module that goes from going, a held patch would need a reference on it: on each that is
//!   loaded later too, and of that nobody tells it either.
//! * When the next patch takes the state on, variables of objects that are there are not told from those
//!   of objects that were at the same place before.

use core::ffi::CStr;

use super::list::held_beside;
use super::refs::{LinkRef, LivepatchLock, PatchRef};
use super::{Engine, Kernel};
use crate::abi::{PatchNode, Phase};
use crate::error::Result;

impl<K: Kernel> Engine<K> {
    /// The `pre_patch` of vmlinux.
    ///
    /// # Errors
    ///
    /// `EINVAL` where [S1](crate::lifecycle#s1) refuses the patch, `ENOMEM`, what a `pre_patch` failed with
    /// ([S3](crate::lifecycle#s3)), or that of `own`, after which the states are taken back
    /// ([S7](crate::lifecycle#s7)): for the kernel no `post_unpatch` is due.
    ///
    /// # Safety
    ///
    /// The kernel calls it, with its livepatch mutex held and in the order that it has for callbacks.
    /// `node` is the calling module's, filled in truly, and in place as long as the module.
    pub unsafe fn vmlinux_pre_patch(&self, node: *mut PatchNode, own: impl FnOnce() -> Result) -> Result {
        // SAFETY: The kernel calls, with the module's node.
        unsafe {
            called(node, |patch| {
                self.states_pre_patch(patch)?;
                let result = own();
                if result.is_err() {
                    self.before_post_unpatch(patch);
                    self.states_post_unpatch(patch);
                }
                result
            })
        }
    }

    /// The `post_patch` of vmlinux.
    ///
    /// # Safety
    ///
    /// As for [`vmlinux_pre_patch`](Self::vmlinux_pre_patch).
    pub unsafe fn vmlinux_post_patch(&self, node: *mut PatchNode, own: impl FnOnce()) {
        // SAFETY: The kernel calls, with the module's node.
        unsafe { called(node, |patch| self.states_post_patch(patch)) };
        own();
    }

    /// The `pre_unpatch` of vmlinux.
    ///
    /// # Safety
    ///
    /// As for [`vmlinux_pre_patch`](Self::vmlinux_pre_patch).
    pub unsafe fn vmlinux_pre_unpatch(&self, node: *mut PatchNode, own: impl FnOnce()) {
        own();
        // SAFETY: The kernel calls, with the module's node.
        unsafe { called(node, |patch| self.states_pre_unpatch(patch)) };
    }

    /// The `post_unpatch` of vmlinux.
    ///
    /// # Safety
    ///
    /// As for [`vmlinux_pre_patch`](Self::vmlinux_pre_patch).
    pub unsafe fn vmlinux_post_unpatch(&self, node: *mut PatchNode, own: impl FnOnce()) {
        let gone = |patch: PatchRef<'_>| {
            self.before_post_unpatch(patch);
            own();
            self.states_post_unpatch(patch);
        };
        // SAFETY: The kernel calls, with the module's node.
        unsafe { called(node, gone) };
    }

    /// [S9](crate::lifecycle#s9): frees the shadow variables that go with the module `object`, which goes, if
    /// the patch is enabled or in transition.
    ///
    /// # Safety
    ///
    /// As for [`vmlinux_pre_patch`](Self::vmlinux_pre_patch); no object of the module is used any more if
    /// the patch is on the kernel's list.
    pub unsafe fn shadows_object_gone(&self, node: *mut PatchNode, object: &CStr) {
        let gone = |patch: PatchRef<'_>| {
            if matches!(patch.phase(), Phase::IDLE | Phase::HELD) {
                return;
            }
            self.shadows_of_object_gone(patch, object);
            for held in held_beside(patch) {
                self.shadows_of_object_gone(held, object);
            }
        };
        // SAFETY: The kernel calls, with the module's node.
        unsafe { called(node, gone) }
    }

    /// Frees those of the patch's shadow variables that go with the object.
    fn shadows_of_object_gone(&self, patch: PatchRef<'_>, object: &CStr) {
        for claim in patch.claims() {
            for link in claim.links().filter(|link| goes_with(*link, object)) {
                let newest = link.newest();
                if goes_with(newest, object) && !newest.is_kept() {
                    // SAFETY: The objects are used no more, so neither are their variables.
                    unsafe { self.kernel.shadow_free_all(newest.entry()) };
                }
            }
        }
    }
}

/// Calls `f` with the patch that the kernel calls.
///
/// # Safety
///
/// The kernel has called with its livepatch mutex held, and `node` is the calling module's.
unsafe fn called<R>(node: *mut PatchNode, f: impl FnOnce(PatchRef<'_>) -> R) -> R {
    // SAFETY: The mutex is held until the call returns, and so beyond this function.
    let lock = unsafe { LivepatchLock::held() };
    // SAFETY: The node is the calling module's.
    f(unsafe { PatchRef::called(&lock, node) })
}

/// Whether the variables go with the module `object`.
fn goes_with(link: LinkRef<'_>, object: &CStr) -> bool {
    link.object().is_some_and(|name| name == *object)
}
