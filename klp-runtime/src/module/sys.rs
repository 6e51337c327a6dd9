//! What the runtime calls: functions that every kernel since 5.15 exports, and
//! the C glue (`kbuild/klp_glue.c`) for what is a macro or inline in C.
//!
//! In a build for the host the same names stand for an imitation,
//! [`crate::host`], so that patch crates can be checked, documented and tested there.

use core::ffi::{c_char, c_int, c_uint, c_void};

/// `gfp_t`.
pub(crate) type RawGfp = c_uint;

/// Calls the Rust function that is the first argument, with the rest; what
/// `crate::sysfs` gives the kernel.
///
/// Not `c_char`: the kernel's `char` has no sign, and with kCFI C calls no function of another type.
pub(crate) type CallShow = unsafe extern "C" fn(show: *const c_void, page: *mut u8, size: usize) -> isize;
/// Calls the Rust function that is the first argument with a text that was written to a file.
pub(crate) type CallStore = unsafe extern "C" fn(store: *const c_void, text: *const u8, len: usize) -> isize;

/// `klp_shadow_ctor_t`.
pub(crate) type ShadowConstructor =
    unsafe extern "C" fn(obj: *mut c_void, data: *mut c_void, ctor_data: *mut c_void) -> c_int;

unsafe extern "C" {
    /// As in C: exported by the kernel, and on the host in the C library.
    pub(crate) fn strcmp(a: *const c_char, b: *const c_char) -> c_int;
}

#[cfg(target_os = "none")]
pub(crate) use kernel::*;

#[cfg(not(target_os = "none"))]
pub(crate) use crate::host::*;

#[cfg(target_os = "none")]
mod kernel {
    use core::cell::UnsafeCell;
    use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
    use core::sync::atomic::{AtomicPtr, Ordering};

    use super::{CallShow, CallStore, RawGfp, ShadowConstructor};
    use crate::abi::{ShadowDestructor, SleepableBox};
    use crate::types::task_struct;

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

        // include/linux/slab.h
        pub(crate) fn kfree(memory: *const c_void);

        // include/linux/printk.h
        pub(crate) fn _printk(format: *const c_char, ...) -> c_int;

        // kbuild/klp_glue.c
        pub(crate) fn klp_glue_kmalloc(size: usize, gfp: RawGfp) -> *mut c_void;
        pub(crate) fn klp_glue_module_get(module: *mut c_void);
        pub(crate) fn klp_glue_module_put(module: *mut c_void);
        pub(crate) fn klp_glue_drop_reserved_state();
        pub(crate) fn klp_glue_watch(name: *const c_char);
        pub(crate) fn klp_glue_object_name(object: *mut c_void) -> *const c_char;
        pub(crate) fn klp_glue_object_state(object: *mut c_void) -> c_int;
        pub(crate) fn klp_glue_get_state(id: c_ulong) -> *mut c_void;
        pub(crate) fn klp_glue_state_version(state: *mut c_void) -> c_uint;
        pub(crate) fn klp_glue_state_data(state: *mut c_void) -> *mut *mut c_void;
        pub(crate) fn klp_glue_bug(text: *const u8, len: c_int);

        static klp_glue_gfp: [c_uint; 5];
    }

    /// Prints one line.
    ///
    /// # Safety
    ///
    /// `format` is a string, and `arguments` starts with what it asks for: numbers, and addresses of strings.
    #[inline(always)]
    pub(crate) unsafe fn print_line(format: *const c_char, arguments: [usize; 6]) {
        let [a, b, c, d, e, f] = arguments;
        // SAFETY: The caller has what the format asks for; the kernel reads no more.
        unsafe { _printk(format, a, b, c, d, e, f) };
    }

    /// What `crate::abi::DataSlot` holds.
    #[inline]
    pub(crate) fn load_slot(slot: &AtomicPtr<c_void>, order: Ordering) -> *mut c_void {
        slot.load(order)
    }

    /// Has the compiler keep the branch apart that comes here. What the caller makes of it would else be
    /// made before, for both.
    #[inline]
    pub(crate) fn cold_path() {
        // SAFETY: It does nothing.
        unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) };
    }

    /// Whether no state can be live because nothing calls the engine: on the host, where no model runs.
    #[inline]
    pub(crate) const fn has_no_states() -> bool {
        false
    }

    /// Sets what `crate::abi::DataSlot` holds.
    #[inline]
    pub(crate) fn store_slot(slot: &AtomicPtr<c_void>, data: *mut c_void, order: Ordering) {
        slot.store(data, order);
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
            // SAFETY: The caller holds the livepatch mutex, so nobody else is here.
            unsafe { self.0.get().replace(head) }
        }
    }

    /// The boxes whose destructor is to run once the kernel's shadow lock is dropped.
    pub(crate) static PENDING: Pending = Pending(UnsafeCell::new(core::ptr::null_mut()));

    /// The task that is in a destructor of this patch under the kernel's shadow lock, which one at a time holds; null for
    /// none.
    static DESTROYING: AtomicPtr<task_struct> = AtomicPtr::new(core::ptr::null_mut());

    /// Says whether this task is in a destructor under the kernel's shadow lock.
    pub(crate) fn set_destroying(destroying: bool) {
        let task = if destroying { klp_glue_current() } else { core::ptr::null_mut() };
        DESTROYING.store(task, Ordering::Relaxed);
    }

    /// Whether this task is in a destructor under the kernel's shadow lock: no interrupt comes there, so that what runs
    /// is the destructor.
    pub(crate) fn is_destroying() -> bool {
        let task = DESTROYING.load(Ordering::Relaxed);
        !task.is_null() && task == klp_glue_current()
    }

    /// The value of one of the flags in `crate::alloc`, in their order.
    #[inline]
    pub(crate) fn gfp(kind: u8) -> RawGfp {
        // SAFETY: The glue defines the table and never writes to it.
        let table = unsafe { &klp_glue_gfp };
        // The first is GFP_KERNEL; no other index is made.
        table.get(usize::from(kind)).copied().unwrap_or(table[0])
    }

    unsafe extern "C" {
        // kbuild/klp_glue_helpers.h
        fn klp_glue_mutex_lock(mutex: *mut RawMutex);
        fn klp_glue_mutex_unlock(mutex: *mut RawMutex);
        fn klp_glue_spin_lock(lock: *mut RawSpinLock);
        fn klp_glue_spin_unlock(lock: *mut RawSpinLock);
        fn klp_glue_work_schedule(
            work: *mut RawWork,
            call: unsafe extern "C" fn(*const c_void),
            function: *const c_void,
            msecs: c_uint,
        ) -> bool;
        fn klp_glue_work_cancel_sync(work: *mut RawWork) -> bool;
        pub(crate) safe fn klp_glue_jiffies() -> c_ulong;
        pub(crate) safe fn klp_glue_msecs_to_jiffies(msecs: c_uint) -> c_ulong;
        pub(crate) fn klp_glue_directory_new(name: *const c_char, made: *mut *mut c_void) -> c_int;
        pub(crate) fn klp_glue_directory_add(
            directory: *mut c_void,
            name: *const c_char,
            call_show: CallShow,
            show: *const c_void,
            call_store: CallStore,
            store: *const c_void,
        ) -> c_int;
        pub(crate) fn klp_glue_directory_remove(directory: *mut c_void);
        pub(crate) fn klp_glue_syscall_native(registers: *const c_void, arguments: *mut [u64; 6]);
        pub(crate) fn klp_glue_syscall_compat(registers: *const c_void, arguments: *mut [u32; 6]);
        pub(crate) fn klp_glue_syscall_registers(arguments: *const [u64; 6], registers: *mut c_void) -> bool;
        pub(crate) safe fn klp_glue_current() -> *mut task_struct;
        pub(crate) fn klp_glue_task_pid(task: *const task_struct) -> c_int;
        pub(crate) fn klp_glue_task_tgid(task: *const task_struct) -> c_int;
        pub(crate) fn klp_glue_task_pid_vnr(task: *const task_struct) -> c_int;
        pub(crate) fn klp_glue_task_tgid_vnr(task: *const task_struct) -> c_int;
        pub(crate) fn klp_glue_task_comm(task: *const task_struct, comm: *mut c_char);
        pub(crate) fn klp_glue_task_is_kthread(task: *const task_struct) -> bool;
        pub(crate) fn klp_glue_task_is_group_leader(task: *const task_struct) -> bool;
    }

    /// Room for the glue's `struct klp_glue_mutex`.
    #[repr(C)]
    pub(crate) struct RawMutex(UnsafeCell<[u64; 32]>);

    // SAFETY: The kernel's functions are for any task.
    unsafe impl Sync for RawMutex {}

    impl RawMutex {
        pub(crate) const fn new() -> Self {
            Self(UnsafeCell::new([0; 32]))
        }

        /// Locks it; the glue makes it when it is locked for the first time, or was moved since. It does
        /// not move while it is locked or waited for: it is borrowed.
        pub(crate) fn lock(&self) {
            // SAFETY: Zeroed storage that was not used before, or the glue's mutex.
            unsafe { klp_glue_mutex_lock(self.0.get().cast()) }
        }

        /// Unlocks it.
        ///
        /// # Safety
        ///
        /// This task has locked it.
        pub(crate) unsafe fn unlock(&self) {
            // SAFETY: The caller has locked it in this task, so the glue has made it.
            unsafe { klp_glue_mutex_unlock(self.0.get().cast()) }
        }
    }

    /// Room for the glue's `struct klp_glue_spinlock`.
    #[repr(C)]
    pub(crate) struct RawSpinLock(UnsafeCell<[u64; 32]>);

    // SAFETY: The kernel's functions are for any processor.
    unsafe impl Sync for RawSpinLock {}

    impl RawSpinLock {
        pub(crate) const fn new() -> Self {
            Self(UnsafeCell::new([0; 32]))
        }

        /// Locks it; the glue makes it as it does a mutex.
        pub(crate) fn lock(&self) {
            // SAFETY: Zeroed storage that was not used before, or the glue's lock.
            unsafe { klp_glue_spin_lock(self.0.get().cast()) }
        }

        /// Unlocks it.
        ///
        /// # Safety
        ///
        /// This processor has locked it.
        pub(crate) unsafe fn unlock(&self) {
            // SAFETY: The caller has locked it on this processor, so the glue has made it.
            unsafe { klp_glue_spin_unlock(self.0.get().cast()) }
        }
    }

    /// Room for the glue's `struct klp_glue_work`.
    #[repr(C)]
    pub(crate) struct RawWork(UnsafeCell<[u64; 48]>);

    // SAFETY: The glue's lock lets one caller at a time make it; the kernel's functions are for any task.
    unsafe impl Sync for RawWork {}

    impl RawWork {
        pub(crate) const fn new() -> Self {
            Self(UnsafeCell::new([0; 48]))
        }

        /// Schedules it; always with the same function.
        pub(crate) fn schedule(&'static self, function: fn(), msecs: u32) -> bool {
            /// Calls the function.
            ///
            /// # Safety
            ///
            /// It is the pointer of a `fn()`.
            unsafe extern "C" fn call(function: *const c_void) {
                // SAFETY: The function that was given below.
                let function = unsafe { core::mem::transmute::<*const c_void, fn()>(function) };
                function();
            }

            // SAFETY: Zeroed storage, or the glue's work, borrowed for good; the glue cancels it before the
            // module, and with it the function, is gone.
            unsafe { klp_glue_work_schedule(self.0.get().cast(), call, function as *const c_void, msecs) }
        }

        pub(crate) fn cancel_sync(&'static self) -> bool {
            // SAFETY: Zeroed storage, or the glue's work, borrowed for good.
            unsafe { klp_glue_work_cancel_sync(self.0.get().cast()) }
        }
    }
}
