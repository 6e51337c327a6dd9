//! Revision 2: says so in `/proc/version`.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Revision 2 of the fixes that a test installs",
    version: "2.0",
    replace: true,
    series: "operate",
    revision: 2,
    fixes: ["CVE-2026-0001", "CVE-2026-0002"],
}

unsafe extern "C" {
    /// `include/linux/seq_file.h`: adds to the record that is being read. Any context that `show` runs in.
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

/// In place of `fs/proc/version.c`: the record of `/proc/version`.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn show_revision(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: `m` is the file that the kernel reads; the format takes nothing.
    unsafe { seq_printf(m, c"revision 2\n".as_ptr()) };
    0
}
