//! Redirects the function behind `/proc/cmdline`, as the kernel's own sample livepatch does.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Shows another text in /proc/cmdline",
}

unsafe extern "C" {
    /// `include/linux/seq_file.h`: adds to the record that is being read. Any context that `show` runs in.
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

// ANCHOR: redirect
/// In place of `fs/proc/cmdline.c`: the record of `/proc/cmdline`.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn livepatch_cmdline_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: `m` is the file that the kernel reads; the format takes one string.
    unsafe { seq_printf(m, c"%s\n".as_ptr(), c"this has been live patched".as_ptr()) };
    0
}
// ANCHOR_END: redirect
