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

/// Their bodies are C.
mod c_bodies {
    use klp_runtime::prelude::*;

    /// Documentation.
    #[klp_func(symbol = "g", original = call_g)]
    #[klp_func(symbol = "h", object = "nf_tables")]
    pub(super) unsafe extern "C" fn g<'a>(first: &'a u8, file: *mut file) -> &'a u8;

    #[klp_syscall(name = "kill")]
    unsafe extern "C" fn kill(_pid: c_int, _sig: c_int) -> c_long;
}

/// Calls the original, which is linked where it is used only.
mod originals {
    use klp_runtime::prelude::*;

    #[klp_func(symbol = "e", original = call_e)]
    unsafe extern "C" fn e<'a, 'b: 'a>(first: &'a u8, _: c_int, second: &'b u8) -> &'a u8
    where
        'a: 'b,
    {
        // SAFETY: they are the caller's.
        let _ = unsafe { call_e(first, 0, second) };
        second
    }

    /// As a test has it.
    #[unsafe(no_mangle)]
    extern "C" fn f(number: c_int) -> c_int {
        number + 1
    }

    #[klp_func(symbol = "f", object = "some_module", original = original)]
    pub(crate) unsafe extern "C" fn doubled(number: c_int) -> c_int {
        // SAFETY: any number will do.
        2 * unsafe { original(number) }
    }

    #[cfg(any())]
    #[klp_func(symbol = "g", original = gone)]
    unsafe extern "C" fn g(_: NoSuchType) {}
}

/// Public, documented once.
#[klp_func(symbol = "d")]
#[inline(never)]
pub(crate) unsafe extern "C" fn d(_: *mut file, _: c_int) -> c_int {
    0
}

fn main() {
    // SAFETY: any number will do.
    assert_eq!(unsafe { originals::doubled(20) }, 42);
}
