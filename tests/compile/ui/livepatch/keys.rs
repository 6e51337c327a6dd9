//! Unknown, repeated and missing keys, all at once.

use klp_runtime::prelude::*;

livepatch! {
    licence: "GPL",
    description: "once",
    description: "twice",
    colour: "blue",
}

fn main() {}
