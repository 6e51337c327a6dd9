//! Names for the original that are none, or are taken; it has the types of the replacement.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_func(symbol = "a", original = "call_a")]
unsafe extern "C" fn a() {}

#[klp_func(symbol = "b", original)]
unsafe extern "C" fn b() {}

#[klp_func(symbol = "c", original = some::path)]
unsafe extern "C" fn c() {}

#[klp_func(symbol = "d", original = d)]
unsafe extern "C" fn d() {}

#[klp_func(symbol = "e", original = call_e)]
unsafe extern "C" fn e(number: c_int) -> c_int {
    unsafe { call_e(number, 1) }
}

fn main() {}
