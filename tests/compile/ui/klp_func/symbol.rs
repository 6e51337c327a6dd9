//! Names of functions.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_func(symbol = "")]
unsafe extern "C" fn empty() {}

#[klp_func(symbol = "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss")]
unsafe extern "C" fn long() {}

#[klp_func(symbol = "show me")]
unsafe extern "C" fn space() {}

#[klp_func(symbol = "show()")]
unsafe extern "C" fn call() {}

#[klp_func(symbol = "nf_tables:nft_do_chain")]
unsafe extern "C" fn with_object() {}

#[klp_func(symbol = "größe")]
unsafe extern "C" fn not_ascii() {}

#[klp_func(symbol = "nul\0")]
unsafe extern "C" fn nul() {}

#[klp_func(symbol = "8ball")]
unsafe extern "C" fn digit() {}

fn main() {}
