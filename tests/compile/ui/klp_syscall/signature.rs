//! Functions that are no system calls.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_syscall(name = "a")]
fn neither() -> c_long {
    0
}

#[klp_syscall(name = "b")]
unsafe extern "C" fn nothing_returned() {}

#[klp_syscall(name = "c")]
unsafe extern "C" fn seven(_: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8) -> c_long {
    0
}

#[klp_syscall(name = "d")]
unsafe extern "C" fn generic<T>(_: *const T) -> c_long {
    0
}

#[klp_syscall(name = "e")]
struct NoFunction;

#[klp_syscall(name = "f", original = original_f)]
unsafe extern "C" fn in_a_c_file() -> c_long;

fn main() {}
