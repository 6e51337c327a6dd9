//! Types of the kernel that patches see by reference only.

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
}
