//! The same system call twice, also by its wrapper.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_syscall(name = "getpid")]
unsafe extern "C" fn getpid() -> c_long {
    0
}

#[klp_syscall(name = "getpid", compat)]
unsafe extern "C" fn getpid_again() -> c_long {
    0
}

#[klp_syscall(name = "kill", compat)]
unsafe extern "C" fn kill(_pid: c_int, _signal: c_int) -> c_long {
    0
}

#[klp_func(symbol = "__ia32_sys_kill")]
unsafe extern "C" fn kill_again(_registers: *const c_void) -> c_long {
    0
}

fn main() {}
