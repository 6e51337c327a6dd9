//! A variadic function: on its own, as rustc refuses it too while it is unstable.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_func(symbol = "a")]
unsafe extern "C" fn variadic(_: *const c_char, _: ...) {}

fn main() {}
