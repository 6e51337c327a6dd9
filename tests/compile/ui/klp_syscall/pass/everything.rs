//! All kinds of arguments, in modules, under strict lints.

#![deny(warnings, dead_code, missing_docs, unsafe_op_in_unsafe_fn, unused_qualifications, unreachable_pub)]

use klp_runtime::prelude::*;
use klp_runtime::syscall::Argument;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_syscall(name = "getpid", compat)]
unsafe extern "C" fn getpid() -> c_long {
    1
}

/// A type of the patch's own.
#[repr(transparent)]
struct Fd(u32);

impl Argument for Fd {
    fn from_native(register: u64) -> Self {
        Self(register as u32)
    }

    fn from_compat(register: u32) -> Self {
        Self(register)
    }

    fn to_register(self) -> u64 {
        self.0.into()
    }
}

mod others {
    use klp_runtime::prelude::*;

    #[klp_syscall(name = "ioctl", compat = "compat_sys_ioctl")]
    #[klp_syscall(name = "splice", compat)]
    unsafe extern "C" fn six(
        fd: super::Fd,
        from: *const c_void,
        argument: *mut u8,
        length: usize,
        flags: c_int,
        offset: c_ulong,
    ) -> c_long {
        let _ = (from, argument, flags, offset);
        fd.0 as c_long + length as c_long
    }

    #[klp_syscall(name = "close", compat, original = original_close)]
    unsafe extern "C" fn with_original(fd: super::Fd) -> c_long {
        // SAFETY: The argument is that of the call.
        unsafe { original_close(fd) }
    }

    #[klp_syscall(name = "getppid", compat, original = original_getppid)]
    #[cfg(not(any()))]
    unsafe extern "C" fn without_arguments() -> c_long {
        // SAFETY: There are no arguments.
        unsafe { original_getppid() }
    }

    #[cfg(any())]
    #[klp_syscall(name = "getpid")]
    unsafe extern "C" fn left_out() -> c_long {
        0
    }
}

fn main() {}
