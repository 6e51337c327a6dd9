//! Callbacks of vmlinux, in a patch that replaces others if told to.
#![no_std]

use klp_kselftest_support::logged_object;
use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Livepatch test: callbacks of objects and atomic replace",
}

/// Whether all other patches are replaced (default=0)
#[klp_param(permissions = 0o644)]
static REPLACE: Param<c_int> = Param::new(0);

#[klp_init]
fn init(patch: &mut PatchSelection<'_>) -> Result {
    patch.set_replace(REPLACE.get() != 0);
    Ok(())
}

logged_object!(Vmlinux, "vmlinux", Ok(()));
