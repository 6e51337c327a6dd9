//! Redirects the function behind a file of the module `test_klp_mod_target`.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Livepatch test: a redirected function of a module",
}

unsafe extern "C" {
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

#[klp_func(symbol = "test_klp_mod_target_show", object = "test_klp_mod_target")]
unsafe extern "C" fn livepatch_mod_target_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: `m` is the file that is read; the format takes no argument.
    unsafe { seq_printf(m, c"test_klp_mod_patch: this has been live patched\n".as_ptr()) };
    0
}
