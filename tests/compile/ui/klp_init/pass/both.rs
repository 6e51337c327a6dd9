//! Both hooks.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_init]
fn init(patch: &mut PatchSelection<'_>) -> Result {
    patch.set_enabled(!patch.replace());
    patch.omit_object(c"nf_tables")
}

#[klp_exit]
fn exit() {}

fn main() {}
