//! Whether the module is a livepatch, by a constant: `modinfo` has to say it.

use klp_runtime::prelude::*;

const ENABLE: bool = false;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
    enable: ENABLE,
}

fn main() {}
