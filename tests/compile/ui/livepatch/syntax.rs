//! Not `key: value`.

use klp_runtime::prelude::*;

livepatch! {
    license = "GPL",
    authors ["A. Author <a@example.org>"],
}

fn main() {}
