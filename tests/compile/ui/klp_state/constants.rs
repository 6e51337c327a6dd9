//! Ids and versions that can't be, by constants.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

const ZERO: u64 = 0;

struct Zero;

#[klp_state(id = ZERO, version = 1)]
impl State for Zero {}

struct Reserved;

#[klp_state(id = 1 << 63, version = 1)]
impl State for Reserved {}

fn main() {}
