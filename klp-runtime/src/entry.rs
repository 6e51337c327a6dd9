//! What the C glue calls in a module: the kernel's four points, for the engine.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};

use crate::abi::{PATCH_REPLACE, PatchNode};
use crate::engine::Engine;
use crate::running::Running;

/// The tables of the module, as `kbuild/klp.lds` bounds them.
mod tables {
    use crate::abi::{PatchEntry, ShadowEntry, StateEntry};

    unsafe extern "C" {
        #[link_name = "__start_klp_patch"]
        pub(super) static PATCH: PatchEntry;
        #[link_name = "__start_klp_states"]
        pub(super) static STATES: [StateEntry; 0];
        #[link_name = "__start_klp_shadows"]
        pub(super) static SHADOWS: [ShadowEntry; 0];
    }
}

static ENGINE: Engine<Running> = Engine::new(Running);

/// The module's place on the list of patches.
struct Node(UnsafeCell<PatchNode>);

// SAFETY: Used in module init, then under the livepatch mutex.
unsafe impl Sync for Node {}

static NODE: Node = Node(UnsafeCell::new(PatchNode::new()));

/// Fills the patch's node, before the patch is enabled.
///
/// # Safety
///
/// Called once, from module init.
#[unsafe(no_mangle)]
unsafe extern "C" fn klp_rt_init(
    module: *mut c_void,
    name: *const c_char,
    nr_states: usize,
    nr_shadows: usize,
) {
    // SAFETY: Nobody else uses the node yet; the tables are constants of the module.
    unsafe {
        let node = NODE.0.get();
        (*node).flags = tables::PATCH.flags & PATCH_REPLACE;
        (*node).module = module;
        (*node).name = name;
        (*node).states = tables::STATES.as_ptr();
        (*node).nr_states = nr_states;
        (*node).shadows = tables::SHADOWS.as_ptr();
        (*node).nr_shadows = nr_shadows;
    }
}

/// The vmlinux object's `pre_patch`.
///
/// # Safety
///
/// For this and the other three: called by the kernel, under the livepatch mutex.
#[unsafe(no_mangle)]
unsafe extern "C" fn klp_rt_pre_patch() -> c_int {
    // SAFETY: By contract.
    match unsafe { ENGINE.states_pre_patch(NODE.0.get()) } {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// The vmlinux object's `post_patch`.
///
/// # Safety
///
/// As above.
#[unsafe(no_mangle)]
unsafe extern "C" fn klp_rt_post_patch() {
    // SAFETY: By contract.
    unsafe { ENGINE.states_post_patch(NODE.0.get()) }
}

/// The vmlinux object's `pre_unpatch`.
///
/// # Safety
///
/// As above.
#[unsafe(no_mangle)]
unsafe extern "C" fn klp_rt_pre_unpatch() {
    // SAFETY: By contract.
    unsafe { ENGINE.states_pre_unpatch(NODE.0.get()) }
}

/// The vmlinux object's `post_unpatch`.
///
/// # Safety
///
/// As above.
#[unsafe(no_mangle)]
unsafe extern "C" fn klp_rt_post_unpatch() {
    // SAFETY: By contract.
    unsafe { ENGINE.states_post_unpatch(NODE.0.get()) }
}

/// The `post_unpatch` of a module's object: the module goes, or the patch is disabled.
///
/// # Safety
///
/// As above; `object` is the module's name.
#[unsafe(no_mangle)]
unsafe extern "C" fn klp_rt_object_gone(object: *const c_char) {
    // SAFETY: By contract.
    unsafe { ENGINE.shadows_object_gone(NODE.0.get(), CStr::from_ptr(object)) }
}
