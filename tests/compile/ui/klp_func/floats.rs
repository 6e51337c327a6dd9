//! Floating-point numbers, which the kernel does not pass.

use klp_runtime::prelude::*;

livepatch! { license: "GPL", authors: ["A. Author"], description: "d" }

#[klp_func(symbol = "takes")]
unsafe extern "C" fn takes(_: f32, _: c_int) {}

#[klp_func(symbol = "returns", original = original)]
unsafe extern "C" fn returns(_: *const f32, _: &f64) -> f64 {
    0.0
}

fn main() {}
