//! The same function twice, here and in another file.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[path = "files/duplicate_other.rs"]
mod other;

const SECOND: u64 = 2;

#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn here() {}

#[klp_func(symbol = "nft_do_chain", object = "nf_tables", sympos = SECOND)]
unsafe extern "C" fn second() {}

#[klp_func(symbol = "nft_do_chain", object = "nf_tables", sympos = 1 + 1)]
unsafe extern "C" fn second_again() {}

// Others, all of them.
#[klp_func(symbol = "nft_do_chain", object = "nf_tables", sympos = 3)]
unsafe extern "C" fn third() {}

#[klp_func(symbol = "nft_do_chain", object = "nf_tables_2", sympos = 2)]
unsafe extern "C" fn other_object() {}

fn main() {}
