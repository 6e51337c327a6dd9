//! What the C glue calls in a module: the kernel's four points, for the engine.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

use crate::abi::{ABI_VERSION, MAGIC, PATCH_REPLACE, PatchNode, Phase, ShadowEntry};
use crate::engine::{Engine, Kernel, Report};
use crate::log::{self, Level};
use crate::{shadow, sys};

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

/// The kernel that the module runs on.
struct Running;

// SAFETY: The kernel's allocator and shadow store do as the trait says.
unsafe impl Kernel for Running {
    fn alloc(&self, size: usize) -> *mut c_void {
        // SAFETY: A plain allocation; the glue zeroes it.
        unsafe { sys::klp_glue_kmalloc(size, crate::alloc::GFP_KERNEL.raw()) }
    }

    unsafe fn free(&self, memory: *mut c_void) {
        // SAFETY: By contract.
        unsafe { sys::klp_glue_kfree(memory) }
    }

    fn shadow_get(&self, obj: *mut c_void, id: u64) -> *mut c_void {
        // SAFETY: The object's address is not followed.
        unsafe { sys::klp_shadow_get(obj, id) }
    }

    fn shadow_alloc(&self, obj: *mut c_void, id: u64, size: usize) -> *mut c_void {
        let gfp = crate::alloc::GFP_KERNEL.raw();
        // SAFETY: As above; the data are zeroed where there is no constructor.
        unsafe { sys::klp_shadow_alloc(obj, id, size, gfp, None, ptr::null_mut()) }
    }

    unsafe fn shadow_free(&self, obj: *mut c_void, id: u64) {
        // SAFETY: By contract.
        unsafe { sys::klp_shadow_free(obj, id, None) }
    }

    unsafe fn shadow_free_all(&self, entry: &ShadowEntry) {
        // SAFETY: By contract; the livepatch mutex is held.
        unsafe { shadow::free_all(entry) }
    }

    unsafe fn pin(&self, module: *mut c_void) {
        // SAFETY: By contract.
        unsafe { sys::klp_glue_module_get(module) }
    }

    unsafe fn unpin(&self, module: *mut c_void) {
        // SAFETY: By contract.
        unsafe { sys::klp_glue_module_put(module) }
    }

    fn report(&self, report: &Report) {
        log::print_pieces(Level::Err, |out| report.write_to(out));
    }
}

static ENGINE: Engine<Running> = Engine::new(Running);

/// The module's place on the list of patches.
struct Node(UnsafeCell<PatchNode>);

// SAFETY: Used in module init, then under the livepatch mutex.
unsafe impl Sync for Node {}

static NODE: Node = Node(UnsafeCell::new(PatchNode {
    magic: MAGIC,
    abi_version: ABI_VERSION,
    flags: 0,
    phase: Phase::Idle,
    older: ptr::null_mut(),
    newer: ptr::null_mut(),
    module: ptr::null_mut(),
    name: ptr::null(),
    states: ptr::null(),
    nr_states: 0,
    shadows: ptr::null(),
    nr_shadows: 0,
    claims: ptr::null_mut(),
}));

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
