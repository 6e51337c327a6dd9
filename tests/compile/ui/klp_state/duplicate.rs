//! The same id twice, here, in another file, and as that of a shadow variable.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[path = "files/duplicate_other.rs"]
mod other;

const ID: u64 = 7;

struct One;

#[klp_state(id = ID, version = 1)]
impl State for One {}

struct Two;

#[klp_state(id = 8, version = 1)]
impl State for Two {}

#[shadow(id = 8, of = task_struct)]
#[repr(C)]
struct Variable {}

fn main() {}
