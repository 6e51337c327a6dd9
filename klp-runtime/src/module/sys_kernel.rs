//! What the engine needs of the kernel, by the functions in [`sys`](crate::module::sys).

use core::ffi::{c_char, c_void};
use core::ptr;

use crate::abi::{PatchNode, ShadowEntry};
use crate::engine::{Kernel, Report};
use crate::module::sys;
use crate::shadow;

/// The kernel that the code runs on; on the host, what stands for it there.
pub(crate) struct SysKernel;

// SAFETY: The kernel's allocator and shadow store do as the trait says.
unsafe impl Kernel for SysKernel {
    #[inline(always)]
    fn alloc(&self, size: usize) -> *mut c_void {
        // SAFETY: A plain allocation; the glue zeroes it.
        unsafe { sys::klp_glue_kmalloc(size, crate::alloc::GFP_KERNEL.raw()) }
    }

    unsafe fn free(&self, memory: *mut c_void) {
        // SAFETY: The engine frees what `alloc` gave it once, and null is freed by doing nothing.
        unsafe { sys::kfree(memory) }
    }

    fn shadow_get(&self, obj: *mut c_void, id: u64) -> *mut c_void {
        // SAFETY: The object's address is not followed.
        unsafe { sys::klp_shadow_get(obj, id) }
    }

    fn shadow_alloc(&self, obj: *mut c_void, id: u64, size: usize) -> *mut c_void {
        let gfp = crate::alloc::GFP_KERNEL.raw();
        // SAFETY: The object's address is not followed, and the data are zeroed where there is no constructor.
        unsafe { sys::klp_shadow_alloc(obj, id, size, gfp, None, ptr::null_mut()) }
    }

    unsafe fn shadow_free(&self, obj: *mut c_void, id: u64) {
        // SAFETY: The engine uses the variable no more.
        unsafe { sys::klp_shadow_free(obj, id, None) }
    }

    unsafe fn shadow_free_all(&self, entry: &ShadowEntry) {
        // SAFETY: The engine passes an entry of a loaded patch whose variables nobody uses any more, and holds
        // the livepatch mutex.
        unsafe { shadow::free_all(entry) }
    }

    unsafe fn pin(&self, module: *mut c_void) {
        // SAFETY: The engine passes a module that is loaded.
        unsafe { sys::klp_glue_module_get(module) }
    }

    unsafe fn unpin(&self, module: *mut c_void) {
        // SAFETY: The engine gives back a reference that `pin` took.
        unsafe { sys::klp_glue_module_put(module) }
    }

    unsafe fn drop_reserved_entry(&self, _: *mut PatchNode) {
        // SAFETY: The module is this one, and the livepatch mutex is held.
        unsafe { sys::klp_glue_drop_reserved_state() }
    }

    fn watch(&self, name: *const c_char) {
        // SAFETY: The engine passes a string that lives longer than the callback, or null after it.
        unsafe { sys::klp_glue_watch(name) }
    }

    #[inline(always)]
    fn report(&self, report: &Report<'_>) {
        let (format, arguments) = report.parts();
        // SAFETY: The report has what its format asks for, and what that leads to is in place.
        unsafe { sys::print_line(format, arguments) }
    }
}
