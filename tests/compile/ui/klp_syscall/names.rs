//! Names of wrappers in place of the name of the call, and the other way round.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_syscall(name = "")]
unsafe extern "C" fn empty() -> c_long {
    0
}

#[klp_syscall(name = "sys_getpid")]
unsafe extern "C" fn generic() -> c_long {
    0
}

#[klp_syscall(name = "__x64_sys_getpid")]
unsafe extern "C" fn wrapper() -> c_long {
    0
}

#[klp_syscall(name = "get-pid")]
unsafe extern "C" fn character() -> c_long {
    0
}

#[klp_syscall(name = "ioctl", compat = "ioctl")]
unsafe extern "C" fn no_entry(_fd: c_uint) -> c_long {
    0
}

#[klp_syscall(name = "ioctl", compat = "__ia32_compat_sys_ioctl")]
unsafe extern "C" fn entry_with_prefix(_fd: c_uint) -> c_long {
    0
}

// Several at once.
#[klp_syscall(name = "sys_kill", compat = "kill()")]
unsafe extern "C" fn both(_pid: c_int) -> c_long {
    0
}

fn main() {}
