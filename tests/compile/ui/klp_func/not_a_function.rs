//! Not a function.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_func(symbol = "a")]
pub struct S;

#[klp_func(symbol = "b")]
/// With documentation.
pub(crate) static X: u32 = 1;

#[klp_func(symbol = "c")]
mod m {}

#[klp_func(symbol = "d")]
unsafe extern "C" {
    fn foreign();
}

trait T {
    fn method(&self);
}

impl T for S {
    #[klp_func(symbol = "e")]
    fn method(&self) {}
}

fn main() {}
