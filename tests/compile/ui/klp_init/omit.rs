//! A shadow variable that is left out, but not its state.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct Counting;

#[klp_state(id = 1, version = 1)]
impl State for Counting {}

#[shadow(state = Counting, of = task_struct)]
#[repr(C)]
struct OfState(u64);

#[shadow(id = 2, of = task_struct)]
#[repr(C)]
struct Own(u64);

#[klp_init]
fn init(patch: &mut PatchSelection<'_>) -> Result {
    patch.omit_shadow::<Own>()?;
    patch.omit_shadow::<OfState>()
}

fn main() {}
