//! Missing, unknown, repeated and contradicting keys, and values of the wrong type.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct S;

#[klp_state(id = 1, version = 1)]
impl State for S {}

#[shadow]
#[repr(C)]
struct Nothing {}

#[shadow(state = S)]
#[repr(C)]
struct NoOf {}

#[shadow(of = task_struct)]
#[repr(C)]
struct Neither {}

#[shadow(state = S, id = 3, of = task_struct)]
#[repr(C)]
struct Both {}

#[shadow(state = S, version = 2, of = task_struct)]
#[repr(C)]
struct Version {}

#[shadow(stat = S, of = task_struct, of = file, sleepable = true)]
#[repr(C)]
struct Keys {}

#[shadow(state = "S", of = "task_struct", name = 1)]
#[repr(C)]
struct Types {}

#[shadow(state = S, of = [u8; 3], name = "")]
#[repr(C)]
struct MoreTypes {}

#[shadow(id = 0, of = &task_struct)]
#[repr(C)]
struct Zero {}

#[shadow(id = 1 << 63, of = *mut task_struct)]
#[repr(C)]
struct EvenMoreTypes {}

#[shadow(id = 0x8000_0000_0000_0000, of = file)]
#[repr(C)]
struct Reserved {}

fn main() {}
