//! Only who may administer the system may open a FIFO.
#![cfg_attr(not(test), no_std)]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Lets only administrators open FIFOs",
}

unsafe extern "C" {
    /// `kernel/capability.c`: whether the current task has a capability. Any context.
    fn capable(capability: c_int) -> bool;
}

/// `include/uapi/linux/capability.h`: to administer the system.
const CAP_SYS_ADMIN: c_int = 21;

/// In place of `fs/pipe.c`: opens a FIFO, and waits for its other end.
///
/// # Safety
///
/// Called by the kernel, in process context, with the file that is being opened.
#[klp_func(symbol = "fifo_open", original = original_fifo_open)]
unsafe extern "C" fn livepatch_fifo_open(inode: *mut inode, file: *mut file) -> c_int {
    // SAFETY: it asks about the current task only.
    if !unsafe { capable(CAP_SYS_ADMIN) } {
        return EPERM.to_errno();
    }
    // SAFETY: the arguments are those that the kernel gave for it.
    unsafe { original_fifo_open(inode, file) }
}

/// The kernel's functions as this test has them, and the check.
#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::ptr::null_mut;

    use super::*;

    thread_local!(static IS_ADMINISTRATOR: Cell<bool> = const { Cell::new(false) });

    #[unsafe(no_mangle)]
    extern "C" fn capable(capability: c_int) -> bool {
        capability == 21 && IS_ADMINISTRATOR.get()
    }

    #[unsafe(no_mangle)]
    extern "C" fn fifo_open(_inode: *mut inode, _file: *mut file) -> c_int {
        42
    }

    #[test]
    fn only_administrators_get_to_the_original() {
        // SAFETY: neither of the functions above looks at its arguments.
        let open = || unsafe { livepatch_fifo_open(null_mut(), null_mut()) };
        assert_eq!(open(), EPERM.to_errno());
        IS_ADMINISTRATOR.set(true);
        assert_eq!(open(), 42);
    }
}
