//! Wrong signatures.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct S;

#[klp_state(id = 1, version = 1)]
impl State for S {
    fn pre_patch(_: &StateContext<'_>) {}

    fn post_patch(&self, _: &()) {}

    async fn pre_unpatch(_: &StateContext<'_>, _: &()) {}

    unsafe fn post_unpatch(_: &StateContext<'_>, _: &()) {}

    fn take_over(_: &StateContext<'_>, _: &()) {}
}

struct T;

#[klp_state(id = 2, version = 1)]
impl State for T {
    fn pre_patch(_: &StateContext<'_>, _: u32) -> Result {
        Ok(())
    }

    fn post_patch<T>(_: &StateContext<'_>, _: &()) {}

    fn pre_unpatch(_: &StateContext<'_>, _: &()) -> Result {
        Ok(())
    }

    extern "C" fn post_unpatch(_: &StateContext<'_>, _: &()) {}

    #[cfg(not(test))]
    fn take_over(_: &StateContext<'_>, _: &(), _: u32) {}
}

struct U;

#[klp_state(id = 3, version = 1)]
impl State for U {
    const fn pre_patch(_: &StateContext<'_>) -> Result {
        Ok(())
    }

    fn post_patch() {}

    fn pre_unpatch<const N: usize>(_: &StateContext<'_>, _: &()) {}
}

fn main() {}
