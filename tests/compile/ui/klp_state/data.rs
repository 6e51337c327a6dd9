//! Data that can't be handed on.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

use std::cell::Cell;

struct NotDerived;

struct S;

#[klp_state(id = 1, version = 1)]
impl State for S {
    type Data = NotDerived;

    fn pre_patch(_: &StateContext<'_>) -> Result<NotDerived> {
        Ok(NotDerived)
    }
}

#[derive(KlpData)]
struct NotReprC {
    value: u32,
}

struct T;

#[klp_state(id = 2, version = 1)]
impl State for T {
    type Data = NotReprC;

    fn pre_patch(_: &StateContext<'_>) -> Result<NotReprC> {
        Ok(NotReprC { value: 1 })
    }
}

#[derive(KlpData)]
#[repr(C)]
struct NotSync {
    value: Cell<u32>,
}

struct U;

#[klp_state(id = 3, version = 1)]
impl State for U {
    type Data = NotSync;

    fn pre_patch(_: &StateContext<'_>) -> Result<NotSync> {
        Ok(NotSync { value: Cell::new(1) })
    }
}

struct V;

#[klp_state(id = 4, version = 1)]
impl State for V {
    type Data = &'static str;

    fn pre_patch(_: &StateContext<'_>) -> Result<&'static str> {
        Ok("text")
    }
}

fn main() {}
