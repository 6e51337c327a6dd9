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
    /// `lib/vsprintf.c`: writes a number in decimal, without an end; returns its length.
    fn num_to_str(text: *mut c_char, size: c_int, number: u64, width: c_uint) -> c_int;
    /// `fs/inode.c`: a variable in a function, how many inode numbers have been handed out.
    #[klp(static_of = "get_next_ino")]
    static shared_last_ino: c_int;
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
    let mut text: [c_char; 8] = [0; 8];
    // SAFETY: the variable is a number that the kernel reads in the same way, and the text has room for seven digits.
    let (size, length) = unsafe { (pipe_max_size, num_to_str(text.as_mut_ptr(), 7, 4711, 0)) };
    // SAFETY: `m` is the file that the kernel reads; the format takes a number, a string, a number and two addresses.
    unsafe {
        seq_printf(
            m,
            c"%u %s %d %lx %lx\n".as_ptr(),
            size,
            text.as_ptr(),
            length,
            (&raw const shared_last_ino).addr(),
            second_c_start as *const () as usize,
        );
    }
    0
}
