//! Revision 4: a callback of it oopses, which kills whoever loads it, with the kernel's livepatch mutex locked.
#![no_std]

use core::hint::black_box;
use core::ptr;

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Revision 4 of the fixes that a test installs, which oopses",
    version: "4.0",
    replace: true,
    series: "operate",
    revision: 4,
    fixes: ["CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0004"],
}

struct Broken;

#[klp_state(id = 1, version = 1)]
impl State for Broken {
    fn pre_patch(_cx: &StateContext<'_>) -> Result {
        // SAFETY: It is not safe: that is what the test is for. Nothing is mapped there, so the kernel stops this task.
        let byte = unsafe { black_box(ptr::without_provenance::<u8>(8)).read_volatile() };
        pr_info!("{byte}");
        Ok(())
    }
}

/// In place of `fs/proc/version.c`: never reached.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn show_revision(_m: *mut seq_file, _v: *mut c_void) -> c_int {
    0
}
