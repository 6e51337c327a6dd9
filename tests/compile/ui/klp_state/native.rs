//! States of the kernel's own table that are wrong.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_state(id = 1, version = 1, native)]
impl State for Block {}

struct Block;

#[klp_state(id = 2, version = 1, native, block_disable)]
struct Blocks;

#[klp_state(id = 3, version = 1, name = "other", native)]
struct Named;

#[klp_state(id = 0, native)]
struct NoVersion;

#[klp_state(id = 4, version = 1, native)]
struct Generic<T>(T);

#[klp_state(id = 5, version = 1, native)]
struct Same;

#[klp_state(id = 5, version = 1, native)]
struct Again;

fn main() {}
