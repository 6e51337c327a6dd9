//! Wrong types of parameters: rustc says so, in what the user wrote.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct S;

#[klp_state(id = 1, version = 1)]
impl State for S {
    type Data = u32;

    fn pre_patch(_: &StateContext<'_>) -> Result<u64> {
        Ok(1)
    }

    fn post_patch(_: &StateContext<'_>, _: &mut u32) {}

    fn take_over(_: &StateContext<'_>, _: &u32, _: u64) {}
}

fn main() {}
