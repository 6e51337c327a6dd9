//! Unknown, repeated and missing keys, and values of the wrong type.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_syscall]
unsafe extern "C" fn none() -> c_long {
    0
}

#[klp_syscall(nam = "getpid", compat, compat)]
unsafe extern "C" fn unknown_and_repeated() -> c_long {
    0
}

#[klp_syscall(name = getpid, compat = true)]
unsafe extern "C" fn types() -> c_long {
    0
}

#[klp_syscall(name, compat("sys_getpid"))]
unsafe extern "C" fn shapes() -> c_long {
    0
}

#[klp_syscall(name = "a", original = "text")]
unsafe extern "C" fn original_of_another_type() -> c_long {
    0
}

fn main() {}
