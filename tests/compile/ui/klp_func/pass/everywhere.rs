//! Positions by constants, lifetimes, in modules and files, under strict lints.

#![deny(warnings, dead_code, missing_docs, unsafe_op_in_unsafe_fn, unused_qualifications, unreachable_pub)]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

/// Its constants have the names that a macro could use.
mod names {
    use klp_runtime::prelude::*;

    const SYMPOS: u64 = 2;
    const ENTRY: u64 = SYMPOS + 1;

    #[klp_func(symbol = "a.isra.0", object = "nf_tables", sympos = SYMPOS)]
    unsafe extern "C" fn a<'a>(pointer: &'a u8) -> &'a u8 {
        pointer
    }

    #[klp_func(symbol = "a.isra.0", object = "nf_tables", sympos = ENTRY)]
    #[klp_func(symbol = "_ZN1a$LT$b$GT$E")]
    #[klp_func(symbol = "c", object = "vmlinux", sympos = { const fn two() -> u64 { 2 } two() })]
    unsafe extern "C" fn b() {}
}

#[path = "../files/duplicate_other.rs"]
mod other;

/// Public, documented once.
#[klp_func(symbol = "d")]
#[inline(never)]
pub(crate) unsafe extern "C" fn d(_: *mut file, _: c_int) -> c_int {
    0
}

fn main() {}
