//! A position that is negative, or no number, by a constant.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

const NEGATIVE: i32 = -1;

#[klp_func(symbol = "a", sympos = NEGATIVE)]
unsafe extern "C" fn negative() {}

#[klp_func(symbol = "b", sympos = 1 - 2)]
unsafe extern "C" fn overflow() {}

fn main() {}
