//! What the engine needs of the kernel, by the model: what the runtime does on
//! the host, with the model looking on.

use core::ffi::{c_char, c_void};

use super::current::current;
use crate::abi::{PatchNode, ShadowEntry};
use crate::engine::{Engine, Kernel, Report};
use crate::module::sys_kernel::SysKernel;

/// The engine, in each module of the model.
pub(super) static ENGINE: Engine<Modelled> = Engine::new(Modelled);

/// The model of the thread that calls.
pub(super) struct Modelled;

// SAFETY: The host's allocator and shadow store do as the trait says.
unsafe impl Kernel for Modelled {
    fn alloc(&self, size: usize) -> *mut c_void {
        SysKernel.alloc(size)
    }

    unsafe fn free(&self, memory: *mut c_void) {
        // SAFETY: The caller promises what the trait asks for.
        unsafe { SysKernel.free(memory) }
    }

    fn shadow_get(&self, obj: *mut c_void, id: u64) -> *mut c_void {
        SysKernel.shadow_get(obj, id)
    }

    fn shadow_alloc(&self, obj: *mut c_void, id: u64, size: usize) -> *mut c_void {
        SysKernel.shadow_alloc(obj, id, size)
    }

    unsafe fn shadow_free(&self, obj: *mut c_void, id: u64) {
        // SAFETY: The caller promises what the trait asks for.
        unsafe { SysKernel.shadow_free(obj, id) }
    }

    unsafe fn shadow_free_all(&self, entry: &ShadowEntry) {
        let model = current();
        let outer = model.freeing.replace(core::ptr::from_ref(entry) as usize);
        // SAFETY: The caller promises what the trait asks for.
        unsafe { SysKernel.shadow_free_all(entry) }
        model.freeing.set(outer);
    }

    unsafe fn pin(&self, module: *mut c_void) {
        // SAFETY: The caller promises what the trait asks for.
        unsafe { SysKernel.pin(module) }
    }

    unsafe fn unpin(&self, module: *mut c_void) {
        // SAFETY: The caller promises what the trait asks for.
        unsafe { SysKernel.unpin(module) }
        let model = current();
        let gone = model.modules.borrow().values().find_map(|loaded| {
            let is_it = core::ptr::eq(loaded.node, module.cast());
            let goes = is_it && loaded.going.get() && loaded.references(&model.machine) == 0;
            goes.then(|| loaded.patch.name.clone())
        });
        // At once, on another CPU: the engine must be done with it.
        if let Some(name) = gone {
            model.unload(&name);
        }
    }

    unsafe fn drop_reserved_entry(&self, node: *mut PatchNode) {
        let model = current();
        let modules = model.modules.borrow();
        match modules.values().find(|module| module.node == node && module.is_reserved.get()) {
            Some(module) => module.is_reserved.set(false),
            None => model.machine.fault("a patch that has no reserved entry lost it"),
        }
    }

    fn watch(&self, name: *const c_char) {
        SysKernel.watch(name);
    }

    fn report(&self, report: &Report<'_>) {
        SysKernel.report(report);
    }
}
