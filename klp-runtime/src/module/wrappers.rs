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
    use core::ffi::{CStr, c_char, c_int, c_ulong, c_void};

    use crate::module::sys::RawGfp;
    use crate::types::{
        device, hlist_head, hlist_node, list_head, mutex, net_device, refcount_struct, sock, spinlock,
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
        pub(crate) fn klp_glue_kernel_mutex_lock(lock: *mut mutex);
        pub(crate) fn klp_glue_kernel_mutex_trylock(lock: *mut mutex) -> bool;
        pub(crate) fn klp_glue_kernel_mutex_unlock(lock: *mut mutex);

        // include/net/sock.h
        pub(crate) fn lock_sock_nested(sock: *mut sock, subclass: c_int);
        pub(crate) fn release_sock(sock: *mut sock);

        // include/linux/rcupdate.h
        pub(crate) safe fn klp_glue_rcu_read_lock();
        pub(crate) fn klp_glue_rcu_read_unlock();
        pub(crate) safe fn klp_glue_synchronize_rcu();

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

        // include/linux/slab.h
        pub(crate) fn klp_glue_kvmalloc(size: usize, gfp: RawGfp) -> *mut c_void;
        pub(crate) fn kvfree(memory: *const c_void);

        // include/linux/uaccess.h
        pub(crate) fn klp_glue_copy_from_user(to: *mut c_void, from: *const c_void, len: usize) -> usize;
        pub(crate) fn klp_glue_copy_to_user(to: *mut c_void, from: *const c_void, len: usize) -> usize;

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
