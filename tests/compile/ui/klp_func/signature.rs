//! Functions that the kernel can't call.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_func(symbol = "a")]
fn neither() {}

#[klp_func(symbol = "b")]
extern "C" fn not_unsafe() {}

#[klp_func(symbol = "c")]
unsafe fn not_c() {}

#[klp_func(symbol = "d")]
unsafe extern "system" fn other_abi() {}

#[klp_func(symbol = "e")]
unsafe extern "C" fn generic<T, const N: usize>(_: [T; N]) {}

#[klp_func(symbol = "f")]
unsafe extern "C" fn hidden_generic(_: impl Copy) {}

#[klp_func(symbol = "g")]
async unsafe extern "C" fn asynchronous() {}

// Several at once.
#[klp_func(symbol = "h", sympos = -1)]
async fn everything<T>(_: T) {}

fn main() {}
