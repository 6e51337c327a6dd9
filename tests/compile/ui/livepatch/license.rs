//! A license that the kernel does not take.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPLv2",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

/// Declared all the same: no error here.
#[klp_func(symbol = "a")]
unsafe extern "C" fn a() {}

fn main() {}
