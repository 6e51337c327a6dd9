//! Items that can't stand where they do.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

fn function() {
    #[klp_func(symbol = "a")]
    unsafe extern "C" fn inner() {}
}

struct Holder;

impl Holder {
    #[klp_func(symbol = "b")]
    unsafe extern "C" fn associated() {}
}

fn main() {}
