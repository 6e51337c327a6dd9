//! A function in which a task sleeps until it is killed.

/// In place of the kernel's `fifo_open`, in which a task sleeps too, until the FIFO's other end is opened.
#[macro_export]
macro_rules! sleepy_fifo_open {
    () => {
        unsafe extern "C" {
            /// `kernel/time/sleep_timeout.c`: sleeps until the time or a signal comes.
            fn msleep_interruptible(msecs: c_uint) -> c_ulong;
        }

        /// In place of `fs/pipe.c`: opening a FIFO takes a minute, and fails.
        ///
        /// # Safety
        ///
        /// Called by the kernel, in process context.
        #[klp_func(symbol = "fifo_open")]
        unsafe extern "C" fn sleeps(_inode: *mut inode, _file: *mut file) -> c_int {
            // SAFETY: `open` may sleep.
            unsafe { msleep_interruptible(60_000) };
            EIO.to_errno()
        }
    };
}
