//! Types of the kernel that the runtime knows: what the prelude has of them, and what the functions of
//! [`sync`](crate::sync), [`interop`](crate::interop) and [`log`](crate::log) take.
//!
//! `kernel_types!` declares a patch's own types, with the fields that the patch looks at. Where such a type has the
//! name of one of these, it [is](Is) that type to the runtime: a pointer to it is passed as it stands.

/// Declares kernel types whose layout the patch does not look at.
///
/// ```
/// klp_runtime::opaque! {
///     /// An open socket.
///     pub struct socket;
/// }
/// ```
#[macro_export]
macro_rules! opaque {
    ($($(#[$attribute:meta])* $visibility:vis struct $name:ident;)*) => {$(
        $(#[$attribute])*
        #[repr(C)]
        #[allow(non_camel_case_types)]
        $visibility struct $name {
            opaque: [u8; 0],
            // Not `Send`, `Sync` or `Unpin`, and its contents change behind references.
            marker: ::core::marker::PhantomData<(*mut u8, ::core::marker::PhantomPinned)>,
            contents: ::core::cell::UnsafeCell<[u8; 0]>,
        }
    )*};
}

/// A type that is the kernel's type `T`, in whatever detail the patch has declared it.
///
/// `kernel_types!` implements it for the types of this module, by their names. A patch has no use for it by itself: it
/// is how a function of the runtime takes a pointer to a type that each patch declares for itself, and no other.
///
/// # Safety
///
/// A pointer to the type is a pointer to the kernel's `T`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the kernel's `{T}`",
    label = "expected a pointer to the kernel's `{T}`",
    note = "`kernel_types!` declares types of the kernel under names that the runtime knows"
)]
pub unsafe trait Is<T> {}

// SAFETY: It is itself.
unsafe impl<T> Is<T> for T {}

opaque! {
    /// A task: a thread, with its process. `include/linux/sched.h`.
    pub struct task_struct;
    /// An open file. `include/linux/fs.h`.
    pub struct file;
    /// A file on disk. `include/linux/fs.h`.
    pub struct inode;
    /// A file that is written in records, most of procfs. `include/linux/seq_file.h`.
    pub struct seq_file;
    /// A module. `include/linux/module.h`.
    pub struct module;
    /// A packet. `include/linux/skbuff.h`.
    pub struct sk_buff;
    /// A network device. `include/linux/netdevice.h`.
    pub struct net_device;
    /// A device. `include/linux/device.h`.
    pub struct device;

    /// `spinlock_t`, whatever it consists of. `include/linux/spinlock_types.h`.
    pub struct spinlock;
    /// `raw_spinlock_t`, which spins under `PREEMPT_RT`, too. `include/linux/spinlock_types_raw.h`.
    pub struct raw_spinlock;
    /// `rwlock_t`: a spinlock for one writer or many readers. `include/linux/rwlock_types.h`.
    pub struct rwlock_t;
    /// A lock for one writer or many readers, which wait asleep. `include/linux/rwsem.h`.
    pub struct rw_semaphore;
    /// `struct rcu_head`, by which an object waits for its end. `include/linux/types.h`.
    pub struct callback_head;
    /// A mutex. `include/linux/mutex_types.h`.
    pub struct mutex;
    /// A socket, as protocols have it. `include/net/sock.h`.
    pub struct sock;
    /// A switch that the kernel patches code for. `include/linux/jump_label.h`.
    pub struct static_key;
    /// An integer that is changed atomically: [`sync::atomic`](crate::sync::atomic). `include/linux/types.h`.
    pub struct atomic_t;
    /// One of 64 bits: [`sync::atomic64`](crate::sync::atomic64). `include/linux/types.h`.
    pub struct atomic64_t;
    /// `refcount_t`: [`sync::Refcount`](crate::sync::Refcount). `include/linux/refcount_types.h`.
    pub struct refcount_struct;
    /// A count of references: [`sync::Refcount`](crate::sync::Refcount). `include/linux/kref.h`.
    pub struct kref;
}

/// The head of a list, or a link in one: [`interop::list`](crate::interop::list). `include/linux/types.h`.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct list_head {
    /// The first entry, or the one behind.
    pub next: *mut list_head,
    /// The last entry, or the one before.
    pub prev: *mut list_head,
}

/// The head of a chain: [`interop::list`](crate::interop::list). `include/linux/types.h`.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct hlist_head {
    /// The first entry, or null.
    pub first: *mut hlist_node,
}

/// A link in a chain: [`interop::list`](crate::interop::list). `include/linux/types.h`.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct hlist_node {
    /// The entry behind, or null.
    pub next: *mut hlist_node,
    /// What points to this one; null where it is in no chain.
    pub pprev: *mut *mut hlist_node,
}

/// The head of a chain whose end is a number: [`interop::list`](crate::interop::list). `include/linux/list_nulls.h`.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct hlist_nulls_head {
    /// The first entry, or the end.
    pub first: *mut hlist_nulls_node,
}

/// A link in a chain whose end is a number: [`interop::list`](crate::interop::list). `include/linux/list_nulls.h`.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct hlist_nulls_node {
    /// The entry behind, or the end.
    pub next: *mut hlist_nulls_node,
    /// What points to this one; null where it is in no chain.
    pub pprev: *mut *mut hlist_nulls_node,
}
