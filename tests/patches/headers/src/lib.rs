//! Uses inline functions, macros and constants of the kernel's headers, and a field, which differ from kernel to kernel.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

// ANCHOR: block
kernel_types! {
    use "linux/jiffies.h";
    use "linux/list.h";
    use "linux/sched/signal.h";
    use "linux/slab.h";
    use "linux/spinlock.h";

    struct list_head;
    fn seq_printf;
    fn kfree;
    inline fn list_empty;
    inline fn list_add;
    inline fn jiffies_to_msecs;
    // A macro from 6.10 on, as memory is accounted; a function before.
    macro fn kmalloc(size: usize, flags: c_uint) -> *mut c_void;
    macro fn lock_and_unlock() = "({ static DEFINE_SPINLOCK(lock); spin_lock(&lock); spin_unlock(&lock); })";
    macro fn current_name() -> *mut c_char = "current->comm";
    const HZ;
    const PAGE_SIZE: usize;
    const TEN_SECONDS: c_ulong = "10 * HZ";
    const ALLOCATION: c_uint = "GFP_KERNEL | __GFP_ZERO";
    const SMALLEST: c_int = "-MAX_ERRNO";
}
// ANCHOR_END: block

const _: () = assert!(PAGE_SIZE == 4096 && TEN_SECONDS == 10 * HZ as c_ulong);

/// Where a file's time of change is: in one field up to 6.10, then in two. Without a build, no condition holds, and the
/// types are those of the newest kernel.
mod times {
    use klp_runtime::prelude::*;

    // ANCHOR: conditions
    kernel_types! {
        struct seq_file { file }
        struct file { f_inode }
        struct inode {
            #[cfg(kernel_has = "struct inode.i_ctime")]
            i_ctime,
            #[cfg(not(kernel_has = "struct inode.i_ctime"))]
            i_ctime_sec,
        }
    }

    /// When the file that is read was changed, in seconds.
    ///
    /// # Safety
    ///
    /// The file is open.
    pub(super) unsafe fn changed(m: *const seq_file) -> i64 {
        // SAFETY: An open file has an inode.
        let inode = unsafe { (*(*m).file).f_inode };
        // SAFETY: As above. The time is a number that others may write meanwhile.
        unsafe {
            cfg_select! {
                kernel_has = "struct inode.i_ctime" => { (*inode).i_ctime.tv_sec }
                _ => { (*inode).i_ctime_sec }
            }
        }
    }
    // ANCHOR_END: conditions
}

/// In place of `fs/proc/version.c`: what the headers have.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    let mut head = list_head { next: core::ptr::null_mut(), prev: core::ptr::null_mut() };
    let head = &raw mut head;
    // SAFETY: The list is this function's own, in memory that is freed before it returns.
    unsafe {
        (*head).next = head;
        (*head).prev = head;
        let entry = kmalloc(size_of::<list_head>(), ALLOCATION).cast::<list_head>();
        if entry.is_null() {
            return ENOMEM.to_errno();
        }
        let before = list_empty(head);
        list_add(entry, head);
        let after = list_empty(head);
        lock_and_unlock();
        let milliseconds = jiffies_to_msecs(TEN_SECONDS);
        seq_printf(
            m,
            c"%d %d %d %u %d %s %lld\n".as_ptr(),
            before,
            after,
            HZ as c_int,
            milliseconds,
            SMALLEST,
            current_name(),
            times::changed(m.cast()),
        );
        kfree(entry.cast());
    }
    0
}
