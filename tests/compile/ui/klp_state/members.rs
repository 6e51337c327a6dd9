//! Methods, types and constants that a state does not have.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

macro_rules! callbacks {
    () => {
        fn post_unpatch(_: &StateContext<'_>, _: &()) {}
    };
}

struct S;

#[klp_state(id = 1, version = 1)]
impl State for S {
    const ID: u64 = 1;
    const COLOUR: u32 = 2;
    type Date = ();

    fn pre_path(_: &StateContext<'_>) -> Result {
        Ok(())
    }

    fn with_data() {}

    fn helper() {}

    callbacks!();
}

struct NoData;

#[klp_state(id = 2, version = 1)]
impl State for NoData {
    type Data = u32;

    fn post_patch(_: &StateContext<'_>, _: &u32) {}
}

fn main() {}
