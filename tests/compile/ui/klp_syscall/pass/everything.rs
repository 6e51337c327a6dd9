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

    #[cfg(any())]
    #[klp_syscall(name = "getpid")]
    unsafe extern "C" fn left_out() -> c_long {
        0
    }
}

fn main() {}
