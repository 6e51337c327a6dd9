//! What `kbuild/klp_glue_wrappers.h` wraps of the kernel, and what the kernel exports beside it, for patches that work
//! on the kernel's own structures: [`crate::sync::kernel`] and its like.
//!
//! In a build for the host the same names stand for [`crate::host`]'s.

#[cfg(not(target_os = "none"))]
pub(crate) use crate::host::wrappers::*;

#[cfg(target_os = "none")]
pub(crate) use kernel::*;

#[cfg(target_os = "none")]
mod kernel {
    use core::cell::UnsafeCell;
    use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};

    use crate::module::sys::RawGfp;
    use crate::types::{
        callback_head, device, hlist_head, hlist_node, list_head, mutex, net_device, raw_spinlock,
        refcount_struct, rw_semaphore, rwlock_t, sock, spinlock,
    };

    unsafe extern "C" {
        // include/linux/spinlock.h, include/linux/mutex.h
        pub(crate) fn klp_glue_kernel_spin_lock(lock: *mut spinlock);
        pub(crate) fn klp_glue_kernel_spin_trylock(lock: *mut spinlock) -> bool;
        pub(crate) fn klp_glue_kernel_spin_unlock(lock: *mut spinlock);
        pub(crate) fn klp_glue_kernel_spin_lock_bh(lock: *mut spinlock);
        pub(crate) fn klp_glue_kernel_spin_unlock_bh(lock: *mut spinlock);
        pub(crate) fn klp_glue_kernel_spin_lock_irqsave(lock: *mut spinlock) -> c_ulong;
        pub(crate) fn klp_glue_kernel_spin_unlock_irqrestore(lock: *mut spinlock, flags: c_ulong);
        pub(crate) fn klp_glue_kernel_raw_spin_lock(lock: *mut raw_spinlock);
        pub(crate) fn klp_glue_kernel_raw_spin_unlock(lock: *mut raw_spinlock);
        pub(crate) fn klp_glue_kernel_raw_spin_lock_irqsave(lock: *mut raw_spinlock) -> c_ulong;
        pub(crate) fn klp_glue_kernel_raw_spin_unlock_irqrestore(lock: *mut raw_spinlock, flags: c_ulong);
        pub(crate) fn klp_glue_kernel_read_lock(lock: *mut rwlock_t);
        pub(crate) fn klp_glue_kernel_read_unlock(lock: *mut rwlock_t);
        pub(crate) fn klp_glue_kernel_read_lock_bh(lock: *mut rwlock_t);
        pub(crate) fn klp_glue_kernel_read_unlock_bh(lock: *mut rwlock_t);
        pub(crate) fn klp_glue_kernel_read_lock_irqsave(lock: *mut rwlock_t) -> c_ulong;
        pub(crate) fn klp_glue_kernel_read_unlock_irqrestore(lock: *mut rwlock_t, flags: c_ulong);
        pub(crate) fn klp_glue_kernel_write_lock(lock: *mut rwlock_t);
        pub(crate) fn klp_glue_kernel_write_unlock(lock: *mut rwlock_t);
        pub(crate) fn klp_glue_kernel_write_lock_bh(lock: *mut rwlock_t);
        pub(crate) fn klp_glue_kernel_write_unlock_bh(lock: *mut rwlock_t);
        pub(crate) fn klp_glue_kernel_write_lock_irqsave(lock: *mut rwlock_t) -> c_ulong;
        pub(crate) fn klp_glue_kernel_write_unlock_irqrestore(lock: *mut rwlock_t, flags: c_ulong);
        pub(crate) fn klp_glue_kernel_mutex_lock(lock: *mut mutex);
        pub(crate) fn klp_glue_kernel_mutex_lock_interruptible(lock: *mut mutex) -> c_int;
        pub(crate) fn klp_glue_kernel_mutex_lock_killable(lock: *mut mutex) -> c_int;
        pub(crate) fn klp_glue_kernel_mutex_trylock(lock: *mut mutex) -> bool;
        pub(crate) fn klp_glue_kernel_mutex_unlock(lock: *mut mutex);

        // include/linux/preempt.h, include/linux/bottom_half.h, include/linux/irqflags.h
        pub(crate) safe fn klp_glue_preempt_disable();
        pub(crate) fn klp_glue_preempt_enable();
        pub(crate) safe fn klp_glue_local_bh_disable();
        pub(crate) fn klp_glue_local_bh_enable();
        pub(crate) safe fn klp_glue_local_irq_save() -> c_ulong;
        pub(crate) fn klp_glue_local_irq_restore(flags: c_ulong);

        // include/linux/rwsem.h
        pub(crate) fn down_read(lock: *mut rw_semaphore);
        pub(crate) fn down_read_trylock(lock: *mut rw_semaphore) -> c_int;
        pub(crate) fn up_read(lock: *mut rw_semaphore);
        pub(crate) fn down_write(lock: *mut rw_semaphore);
        pub(crate) fn down_write_trylock(lock: *mut rw_semaphore) -> c_int;
        pub(crate) fn up_write(lock: *mut rw_semaphore);

        // include/net/sock.h
        pub(crate) fn lock_sock_nested(sock: *mut sock, subclass: c_int);
        pub(crate) fn release_sock(sock: *mut sock);

        // include/linux/rcupdate.h
        pub(crate) safe fn klp_glue_rcu_read_lock();
        pub(crate) fn klp_glue_rcu_read_unlock();
        pub(crate) safe fn klp_glue_synchronize_rcu();
        pub(crate) fn klp_glue_kfree_rcu(head: *mut callback_head, object: *mut c_void);

        // include/linux/refcount.h
        pub(crate) fn refcount_warn_saturate(count: *mut refcount_struct, kind: c_int);

        // include/linux/list.h, include/linux/rculist.h
        pub(crate) fn klp_glue_list_add(new: *mut list_head, head: *mut list_head);
        pub(crate) fn klp_glue_list_add_tail(new: *mut list_head, head: *mut list_head);
        pub(crate) fn klp_glue_list_add_rcu(new: *mut list_head, head: *mut list_head);
        pub(crate) fn klp_glue_list_add_tail_rcu(new: *mut list_head, head: *mut list_head);
        pub(crate) fn klp_glue_hlist_add_head(new: *mut hlist_node, head: *mut hlist_head);
        pub(crate) fn klp_glue_hlist_add_head_rcu(new: *mut hlist_node, head: *mut hlist_head);
        pub(crate) fn klp_glue_list_del(entry: *mut list_head);
        pub(crate) fn klp_glue_list_del_init(entry: *mut list_head);
        pub(crate) fn klp_glue_list_del_rcu(entry: *mut list_head);
        pub(crate) fn klp_glue_hlist_del(entry: *mut hlist_node);
        pub(crate) fn klp_glue_hlist_del_init(entry: *mut hlist_node);
        pub(crate) fn klp_glue_hlist_del_rcu(entry: *mut hlist_node);

        // include/linux/bug.h
        pub(crate) fn klp_glue_warn(place: *const c_char, condition: *const c_char);

        // include/linux/percpu.h
        pub(crate) fn klp_glue_this_cpu_ptr(pointer: *mut c_void) -> *mut c_void;
        pub(crate) fn klp_glue_per_cpu_ptr(pointer: *mut c_void, cpu: c_uint) -> *mut c_void;

        // include/linux/slab.h
        pub(crate) fn klp_glue_kvmalloc(size: usize, gfp: RawGfp) -> *mut c_void;
        pub(crate) fn kvfree(memory: *const c_void);

        // include/linux/uaccess.h
        pub(crate) fn klp_glue_get_user(to: *mut c_void, from: *const c_void, size: usize) -> bool;
        pub(crate) fn klp_glue_put_user(to: *mut c_void, from: *const c_void, size: usize) -> bool;
        pub(crate) fn klp_glue_copy_from_user(to: *mut c_void, from: *const c_void, len: usize) -> usize;
        pub(crate) fn klp_glue_copy_to_user(to: *mut c_void, from: *const c_void, len: usize) -> usize;
        pub(crate) fn strncpy_from_user(to: *mut c_char, from: *const c_char, len: c_long) -> c_long;

        // include/linux/dev_printk.h, include/linux/netdevice.h, include/linux/net.h
        pub(crate) fn _dev_printk(level: *const c_char, device: *const device, format: *const c_char, ...);
        pub(crate) fn netdev_printk(
            level: *const c_char,
            device: *const net_device,
            format: *const c_char,
            ...
        );
        pub(crate) safe fn net_ratelimit() -> c_int;

        // include/linux/ratelimit.h
        fn klp_glue_ratelimit(limit: *mut RawRatelimit, name: *const c_char) -> bool;
    }

    /// The glue's `struct klp_glue_ratelimit`, which asserts that it is no larger.
    #[repr(C)]
    pub(crate) struct RawRatelimit(UnsafeCell<[u64; 32]>);

    // SAFETY: The glue's function is for any context.
    unsafe impl Sync for RawRatelimit {}

    impl RawRatelimit {
        pub(crate) const fn new() -> Self {
            Self(UnsafeCell::new([0; 32]))
        }

        pub(crate) fn is_allowed(&'static self, name: &CStr) -> bool {
            // SAFETY: Zeroed storage that was not used before, or the glue's structure, borrowed for good.
            unsafe { klp_glue_ratelimit(self.0.get().cast(), name.as_ptr()) }
        }
    }
}
