//! Ids and versions that can't be, by literals: all errors at once.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct S;

#[klp_state]
impl State for S {}

struct Zero;

#[klp_state(id = 0, versoin = 1)]
impl State for Zero {}

struct Reserved;

#[klp_state(id = 0x8000_0000_0000_0000, version = 1, version = 2, colour)]
impl State for Reserved {}

struct Types;

#[klp_state(id = "1", version = -1, name = Types, block_disable = true)]
impl State for Types {}

struct MoreTypes;

#[klp_state(id = 1.5, version = "one", name = "", block_disable(1))]
impl State for MoreTypes {}

struct Names;

#[klp_state(id = 2, version = 1, name = "tab\tulator")]
impl State for Names {}

#[klp_state(id = 3, version = 1)]
impl State for [u8; 3] {}

fn main() {}
