//! A position of another type.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_symbols]
unsafe extern "C" {
    #[klp(sympos = 'a' as u8)]
    static a: c_int;
}

fn main() {}
