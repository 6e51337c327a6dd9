//! A body in C: what its declaration must be.
#![no_std]
use klp_runtime::prelude::*;

livepatch! { license: "GPL", authors: ["a"], description: "d" }

unsafe extern "C" {
    #[klp_func(symbol = "in_a_block")]
    fn in_a_block(m: *mut seq_file) -> c_int;
}

#[klp_func(symbol = "safe")]
extern "C" fn safe(m: *mut seq_file) -> c_int;

#[klp_func(symbol = "generic")]
unsafe extern "C" fn generic<T>(m: *mut T) -> c_int;

#[klp_func(symbol = "variadic")]
unsafe extern "C" fn variadic(format: *const c_char, _: ...) -> c_int;

#[klp_func(symbl = "misspelt")]
unsafe extern "C" fn misspelt(m: *mut seq_file) -> c_int;

fn main() {}
