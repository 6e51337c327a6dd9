//! Callbacks of vmlinux and of two modules, one of which has a redirected function.
#![no_std]

use klp_kselftest_support::logged_object;
use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Livepatch test: callbacks of objects",
}

/// What the pre_patch callbacks return (default=0)
#[klp_param(permissions = 0o644)]
static PRE_PATCH_RET: Param<c_int> = Param::new(0);

fn pre_patch_ret() -> Result {
    match PRE_PATCH_RET.get() {
        0 => Ok(()),
        errno => Err(Error::from_errno(errno)),
    }
}

logged_object!(Vmlinux, "vmlinux", pre_patch_ret());
logged_object!(Target, "test_klp_callbacks_mod", pre_patch_ret());
logged_object!(Busy, "test_klp_callbacks_busy", pre_patch_ret());

#[klp_func(symbol = "busymod_work_func", object = "test_klp_callbacks_busy")]
unsafe extern "C" fn patched_work_func(_work: *mut c_void) {
    pr_info!("patched_work_func");
}
