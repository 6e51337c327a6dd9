//! A constant that is no `u64`.

use klp_runtime::prelude::*;

const REVISION: u32 = 1;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
    series: "fixes",
    revision: REVISION,
}

fn main() {}
