//! Constants of other types: rustc says so, in what the user wrote.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

const NARROW: u32 = 1;

struct Narrow;

#[klp_state(id = NARROW, version = 1 << 40)]
impl State for Narrow {}

struct Text;

#[klp_state(id = 2, version = VERSION)]
impl State for Text {}

const VERSION: &str = "1";

fn main() {}
