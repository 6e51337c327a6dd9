//! What the kernel's structures are on the host.

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use core::ptr;
use std::vec::Vec;

/// `struct klp_object`.
#[derive(Debug)]
pub(crate) struct HostObject {
    /// The module's name, null for vmlinux.
    pub(crate) name: *const c_char,
    /// As `klp_glue_object_state` returns it.
    pub(crate) state: c_int,
}

/// `struct klp_state`.
#[derive(Debug)]
pub(crate) struct HostState {
    pub(crate) id: c_ulong,
    pub(crate) version: c_uint,
    pub(crate) data: *mut c_void,
}

/// The kernel's own tables of states, as the patch whose callback runs sees them.
#[derive(Debug, Default)]
pub(crate) struct Natives {
    /// Its own.
    pub(crate) own: Vec<*mut HostState>,
    /// Those of the patches enabled before the one in transition, oldest first; none where there is none.
    pub(crate) previous: Option<Vec<*mut HostState>>,
}

impl Natives {
    /// What `klp_get_state` finds.
    pub(crate) fn own(&self, id: c_ulong) -> *mut HostState {
        find(&self.own, id)
    }

    /// What `klp_get_prev_state` finds; none where it warns.
    pub(crate) fn previous(&self, id: c_ulong) -> Option<*mut HostState> {
        self.previous.as_ref().map(|previous| find(previous, id))
    }
}

/// The last one of an id, null if there is none.
fn find(states: &[*mut HostState], id: c_ulong) -> *mut HostState {
    // SAFETY: Whoever fills the lists takes out what goes.
    let found = states.iter().rev().find(|state| unsafe { (***state).id == id });
    found.copied().unwrap_or(ptr::null_mut())
}
