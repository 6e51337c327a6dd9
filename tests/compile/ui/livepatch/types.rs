//! Values of the wrong type, and texts that can't be.

use klp_runtime::prelude::*;

livepatch! {
    license: GPL,
    authors: "A. Author <a@example.org>",
    description: "two\nlines",
    replace: "true",
    version: 1.0,
}

fn main() {}
