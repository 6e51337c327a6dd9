//! The same variable twice, here and in another file.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[path = "files/duplicate_other.rs"]
mod other;

pub(crate) struct S;

#[klp_state(id = 1, version = 1)]
impl State for S {}

#[shadow(id = 2, of = task_struct)]
#[repr(C)]
struct OwnId {}

// Of one state and one name.
#[shadow(state = S, of = task_struct)]
#[repr(C)]
struct Counter {}

// Of the state's own id.
#[shadow(id = 1, of = task_struct)]
#[repr(C)]
struct InUse {}

fn main() {}
