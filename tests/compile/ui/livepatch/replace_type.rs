//! A constant that is no boolean.

use klp_runtime::prelude::*;

const REPLACE: u32 = 1;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
    replace: REPLACE,
}

fn main() {}
