//! Hooks with other signatures, arguments, twice, and what is no function.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_init]
fn init(patch: &mut PatchSelection<'_>) -> Result {
    patch.set_replace(true);
    Ok(())
}

#[klp_init]
fn again(_patch: &mut PatchSelection<'_>) -> Result {
    Ok(())
}

#[klp_init]
fn no_parameter() -> Result {
    Ok(())
}

#[klp_init]
async unsafe extern "C" fn everything_wrong<T>(_patch: T) {}

#[klp_init(early)]
struct Structure;

#[klp_exit]
fn exit(_code: c_int) {}

fn main() {}
