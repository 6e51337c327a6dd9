//! Names of modules.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_func(symbol = "a", object = "")]
unsafe extern "C" fn empty() {}

#[klp_func(symbol = "a", object = "oooooooooooooooooooooooooooooooooooooooooooooooooooooooo")]
unsafe extern "C" fn long() {}

#[klp_func(symbol = "a", object = "nf-tables")]
unsafe extern "C" fn dash() {}

#[klp_func(symbol = "a", object = "nf_tables.ko")]
unsafe extern "C" fn file() {}

#[klp_func(symbol = "a", object = "kernel/net/netfilter/nf-tables.ko.xz")]
unsafe extern "C" fn path() {}

#[klp_func(symbol = "a", object = "nf tables")]
unsafe extern "C" fn space() {}

fn main() {}
