//! A license that is like none.

use klp_runtime::prelude::*;

livepatch! {
    license: "Proprietary",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

fn main() {}
