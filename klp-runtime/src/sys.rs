//! What the runtime calls: functions that every kernel since 5.15 exports, and
//! the C glue (`kbuild/klp_glue.c`) for what is a macro or inline in C.
//!
//! In a build for the host the same names stand for an imitation,
//! [`crate::host`], so that patch crates can be checked, documented and tested there.

use core::ffi::{c_int, c_uint, c_void};

/// `gfp_t`.
pub(crate) type RawGfp = c_uint;

/// `klp_shadow_ctor_t`.
pub(crate) type ShadowConstructor =
    unsafe extern "C" fn(obj: *mut c_void, data: *mut c_void, ctor_data: *mut c_void) -> c_int;

#[cfg(target_os = "none")]
pub(crate) use kernel::*;

#[cfg(not(target_os = "none"))]
pub(crate) use crate::host::*;

#[cfg(target_os = "none")]
mod kernel {
    use core::cell::UnsafeCell;
    use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
    use core::sync::atomic::{AtomicPtr, Ordering};

    use super::{RawGfp, ShadowConstructor};
    use crate::abi::{ShadowDestructor, SleepableBox};

    unsafe extern "C" {
        // include/linux/livepatch.h
        pub(crate) fn klp_shadow_get(obj: *mut c_void, id: u64) -> *mut c_void;
        pub(crate) fn klp_shadow_alloc(
            obj: *mut c_void,
            id: u64,
            size: usize,
            gfp: RawGfp,
            ctor: Option<ShadowConstructor>,
            ctor_data: *mut c_void,
        ) -> *mut c_void;
        pub(crate) fn klp_shadow_get_or_alloc(
            obj: *mut c_void,
            id: u64,
            size: usize,
            gfp: RawGfp,
            ctor: Option<ShadowConstructor>,
            ctor_data: *mut c_void,
        ) -> *mut c_void;
        pub(crate) fn klp_shadow_free(obj: *mut c_void, id: u64, dtor: Option<ShadowDestructor>);
        pub(crate) fn klp_shadow_free_all(id: u64, dtor: Option<ShadowDestructor>);

        pub(crate) fn klp_get_prev_state(id: c_ulong) -> *mut c_void;

        // include/linux/printk.h
        pub(crate) fn _printk(format: *const c_char, ...) -> c_int;

        // kbuild/klp_glue.c
        pub(crate) fn klp_glue_kmalloc(size: usize, gfp: RawGfp) -> *mut c_void;
        pub(crate) fn klp_glue_kfree(memory: *mut c_void);
        pub(crate) fn klp_glue_module_get(module: *mut c_void);
        pub(crate) fn klp_glue_module_put(module: *mut c_void);
        pub(crate) fn klp_glue_object_name(object: *mut c_void) -> *const c_char;
        pub(crate) fn klp_glue_object_state(object: *mut c_void) -> c_int;
        pub(crate) fn klp_glue_get_state(id: c_ulong) -> *mut c_void;
        pub(crate) fn klp_glue_state_version(state: *mut c_void) -> c_uint;
        pub(crate) fn klp_glue_state_data(state: *mut c_void) -> *mut *mut c_void;
        pub(crate) fn klp_glue_bug(text: *const u8, len: c_int);

        static klp_glue_gfp: [c_uint; 5];
    }

    /// What `crate::abi::DataSlot` holds.
    #[inline]
    pub(crate) fn load_slot(slot: &AtomicPtr<c_void>) -> *mut c_void {
        slot.load(Ordering::Acquire)
    }

    /// Sets what `crate::abi::DataSlot` holds.
    #[inline]
    pub(crate) fn store_slot(slot: &AtomicPtr<c_void>, data: *mut c_void) {
        slot.store(data, Ordering::Release);
    }

    /// The head of a list that lasts for one call, under the livepatch mutex.
    pub(crate) struct Pending(UnsafeCell<*mut SleepableBox>);

    // SAFETY: Used under the livepatch mutex only.
    unsafe impl Sync for Pending {}

    impl Pending {
        /// Puts another head there; returns the one before.
        ///
        /// # Safety
        ///
        /// The livepatch mutex is held.
        pub(crate) unsafe fn replace(&self, head: *mut SleepableBox) -> *mut SleepableBox {
            // SAFETY: By contract nobody else is here.
            unsafe { self.0.get().replace(head) }
        }
    }

    /// The boxes whose destructor is to run once the kernel's shadow lock is dropped.
    pub(crate) static PENDING: Pending = Pending(UnsafeCell::new(core::ptr::null_mut()));

    /// The value of one of the flags in `crate::alloc`, in their order.
    #[inline]
    pub(crate) fn gfp(kind: u8) -> RawGfp {
        // SAFETY: The glue defines the table and never writes to it.
        let table = unsafe { &klp_glue_gfp };
        // The first is GFP_KERNEL; no other index is made.
        table.get(usize::from(kind)).copied().unwrap_or(table[0])
    }
}
