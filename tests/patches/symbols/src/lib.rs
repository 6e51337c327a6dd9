//! Reads variables and calls a function of vmlinux that are not exported.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

// ANCHOR: symbols
#[klp_symbols]
unsafe extern "C" {
    /// `fs/pipe.c`: what `/proc/sys/fs/pipe-max-size` shows.
    static pipe_max_size: c_uint;
    /// `lib/vsprintf.c`: the number that a text starts with; moves the text on.
    fn skip_atoi(text: *mut *const c_char) -> c_int;
    /// `fs/coredump.c`: a variable in a function, how many dumps are being made.
    #[klp(static_of = "do_coredump")]
    static core_dump_count: c_int;
    /// The second of several that have the name.
    #[klp(symbol = "c_start", sympos = 2)]
    fn second_c_start();
}
// ANCHOR_END: symbols

unsafe extern "C" {
    /// `include/linux/seq_file.h`: adds to the record that is being read.
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

/// In place of `fs/proc/version.c`: what was found.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    let mut text = c"4711x".as_ptr();
    // SAFETY: the variable is a number that the kernel reads in the same way, and the text has a digit.
    let (size, number) = unsafe { (pipe_max_size, skip_atoi(&raw mut text)) };
    // SAFETY: `m` is the file that the kernel reads; the format takes two numbers, a string and two addresses.
    unsafe {
        seq_printf(
            m,
            c"%u %d %s %lx %lx\n".as_ptr(),
            size,
            number,
            text,
            (&raw const core_dump_count).addr(),
            second_c_start as *const () as usize,
        );
    }
    0
}
