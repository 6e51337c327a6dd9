//! Uses an ordinary no_std crate from the package registry.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

unsafe extern "C" {
    /// `include/linux/seq_file.h`: adds to the record that is being read.
    fn seq_write(m: *mut seq_file, data: *const c_void, len: usize) -> c_int;
}

/// In place of `fs/proc/version.c`: a number that the crate has formatted.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(-12_345_678_901_i64);
    // SAFETY: `m` is the file that the kernel reads; the text has as many bytes.
    unsafe { seq_write(m, text.as_ptr().cast(), text.len()) }
}
