//! Unknown, repeated and missing keys, and values of the wrong type.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_func]
unsafe extern "C" fn none() {}

#[klp_func(symbl = "a", sympos = 1, sympos = 2)]
unsafe extern "C" fn unknown_and_repeated() {}

#[klp_func("cmdline_proc_show")]
unsafe extern "C" fn no_key() {}

#[klp_func(symbol = cmdline_proc_show, object = 1, sympos = "2")]
unsafe extern "C" fn types() {}

#[klp_func(symbol, object("a"), sympos = true)]
unsafe extern "C" fn shapes() {}

#[klp_func(symbol = "a", sympos = 99999999999999999999)]
unsafe extern "C" fn too_large() {}

#[klp_func(symbol = "a" object = "b")]
unsafe extern "C" fn syntax() {}

#[klp_func(symbol = "b", something::else = 1)]
unsafe extern "C" fn path() {}

fn main() {}
