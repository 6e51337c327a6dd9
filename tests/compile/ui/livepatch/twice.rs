//! Twice.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

livepatch! {
    license: "GPL",
    authors: ["B. Author <b@example.org>"],
    description: "Another test",
}

fn main() {}
