//! Hooks whose types are others.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_init]
fn init(_patch: u32) -> Result {
    Ok(())
}

#[klp_exit]
fn exit() -> u32 {
    0
}

fn main() {}
