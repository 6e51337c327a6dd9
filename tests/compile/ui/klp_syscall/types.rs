//! Arguments that no register holds, and a result that is no `c_long`.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[repr(C)]
struct Two {
    a: u64,
    b: u64,
}

#[klp_syscall(name = "a")]
unsafe extern "C" fn boolean(_flag: bool) -> c_long {
    0
}

#[klp_syscall(name = "b", compat)]
unsafe extern "C" fn structure(_fd: c_int, _two: Two) -> c_long {
    0
}

#[klp_syscall(name = "c")]
unsafe extern "C" fn result() -> c_int {
    0
}

fn main() {}
