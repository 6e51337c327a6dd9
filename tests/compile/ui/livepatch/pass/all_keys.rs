//! Every key, in any order, with a constant.

#![deny(warnings, dead_code, missing_docs, unsafe_op_in_unsafe_fn, unused_qualifications, unreachable_pub)]

use klp_runtime::prelude::*;

/// From elsewhere.
const REPLACE: bool = !cfg!(miri);

livepatch! {
    replace: REPLACE,
    version: "1.2",
    description: "{braces} and \"quotes\"",
    authors: ["A. Author <a@example.org>", "B. Author <b@example.org>"],
    license: "Dual MIT/GPL",
}

fn main() {}
