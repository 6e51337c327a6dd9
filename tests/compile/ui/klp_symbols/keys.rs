//! Unknown and repeated keys, and values of the wrong type.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_symbols(objekt = "nf_tables")]
unsafe extern "C" {
    #[klp(simpos = 1)]
    static a: c_int;
    #[klp(symbol = "b")]
    #[klp(symbol = "b", sympos = "2")]
    static b: c_int;
    #[klp]
    static c: c_int;
    #[klp("d")]
    static d: c_int;
    #[klp(static_of = e, sympos = -1)]
    static e: c_int;
}

#[klp_symbols("vmlinux")]
unsafe extern "C" {
    static f: c_int;
}

fn main() {}
