//! Revision 3: brings the machine down when it is loaded.
#![no_std]

use core::hint::black_box;

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Revision 3 of the fixes that a test installs, which panics",
    version: "3.0",
    replace: true,
    series: "operate",
    revision: 3,
    fixes: ["CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0003"],
}

unsafe extern "C" {
    /// `kernel/panic.c`: stops the machine. Any context.
    ///
    /// It never returns; objtool knows such functions by name, and by no other way to call them.
    fn panic(format: *const c_char, ...);
}

#[klp_init]
fn init(_patch: &mut PatchSelection<'_>) -> Result {
    let panic = black_box(panic as unsafe extern "C" fn(*const c_char, ...));
    // SAFETY: The format takes nothing.
    unsafe { panic(c"fix_3 brings the machine down".as_ptr()) };
    Ok(())
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
