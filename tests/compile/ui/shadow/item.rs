//! Items that are no shadow variable.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

use std::cell::Cell;

struct S;

#[klp_state(id = 1, version = 1)]
impl State for S {}

#[shadow(state = S, of = task_struct)]
#[repr(C)]
struct Generic<T> {
    // SAFETY: It holds no pointer.
    #[klp(unsafe(opaque))]
    value: T,
}

#[shadow(state = S, of = task_struct)]
#[repr(C)]
struct Lifetime<'a> {
    value: &'a u8,
}

#[shadow(state = S, of = task_struct)]
struct NotReprC {
    value: u8,
}

#[shadow(state = S, of = task_struct)]
#[repr(C)]
pub enum AnEnum {
    One,
}

// The arguments are checked all the same.
#[shadow(state = S, colour)]
fn function() {}

#[shadow(state = S, of = task_struct)]
#[repr(C, align(16))]
struct Aligned {
    value: u64,
}

#[shadow(state = S, of = task_struct)]
#[repr(C)]
struct NotSync {
    value: Cell<u64>,
}

fn main() {
    // No errors here: the items are there.
    let _ = Generic { value: 1 }.value;
    let _ = Lifetime { value: &1 }.value;
    let _ = NotReprC { value: 1 }.value;
    let _ = AnEnum::One;
}
