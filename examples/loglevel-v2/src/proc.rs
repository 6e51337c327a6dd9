//! The part of the patch that is about procfs: items may stand in any file of the crate.

use klp_runtime::prelude::*;

unsafe extern "C" {
    /// `include/linux/seq_file.h`: adds to the record that is being read.
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

/// In place of `fs/proc/cmdline.c`: the record of `/proc/cmdline`.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn livepatch_cmdline_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: `m` is the file that the kernel reads; the format takes one string.
    unsafe { seq_printf(m, c"%s\n".as_ptr(), c"this has been live patched, version 2".as_ptr()) };
    0
}
