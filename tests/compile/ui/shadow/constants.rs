//! Ids that can't be, by constants, a state that is none, a type that is none.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

const ZERO: u64 = 0;

#[shadow(id = ZERO, of = task_struct)]
#[repr(C)]
struct Zero {}

#[shadow(id = 1 << 63, of = task_struct)]
#[repr(C)]
struct Reserved {}

struct NotAState;

#[shadow(state = NotAState, of = task_struct)]
#[repr(C)]
struct WithoutState {}

fn main() {}
