//! Redirects the function behind `/proc/cmdline`.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Livepatch test: a redirected function",
}

unsafe extern "C" {
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn livepatch_cmdline_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: `m` is the file that is read; the format takes no argument.
    unsafe { seq_printf(m, c"test_klp_livepatch: this has been live patched\n".as_ptr()) };
    0
}
