//! Has the kernel call functions of the patch by pointer: one of the type that the kernel declares, and one of another,
//! which a kernel with kCFI does not let it call.
#![no_std]

use core::mem::transmute;

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

kernel_types! {
    fn seq_printf;
}

/// `cmp_func_t`.
type Compare = unsafe extern "C" fn(*const c_void, *const c_void) -> c_int;

unsafe extern "C" {
    /// `lib/bsearch.c`: calls `compare`.
    fn bsearch(
        key: *const c_void,
        base: *const c_void,
        num: usize,
        size: usize,
        compare: Compare,
    ) -> *const c_void;
}

/// The number that is looked for.
static KEY: u8 = 5;
static NUMBERS: [u8; 4] = [1, 3, 5, 7];

/// Compares two numbers.
///
/// # Safety
///
/// Both are numbers.
unsafe extern "C" fn compare(a: *const c_void, b: *const c_void) -> c_int {
    // SAFETY: The caller says so.
    unsafe { compare_numbers(a.cast(), b.cast()) }
}

/// The same, of another type: the instructions are the same, and without kCFI it is called as well.
///
/// # Safety
///
/// Both are numbers.
unsafe extern "C" fn compare_numbers(a: *const u8, b: *const u8) -> c_int {
    // SAFETY: The caller says so.
    unsafe { c_int::from(*a) - c_int::from(*b) }
}

/// Prints the place of the number, which the kernel looks for.
///
/// # Safety
///
/// `m` is a file that is being read.
unsafe fn print_place(m: *mut seq_file, compare: Compare) -> c_int {
    let base = (&raw const NUMBERS).cast::<c_void>();
    // SAFETY: The numbers are sorted; the format takes one number.
    unsafe {
        let found = bsearch((&raw const KEY).cast(), base, NUMBERS.len(), 1, compare);
        seq_printf(m, c"place %d\n".as_ptr(), found.byte_offset_from(base) as c_int);
    }
    0
}

/// In place of `fs/proc/version.c`: with the function of the right type.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: As the kernel called.
    unsafe { print_place(m, compare) }
}

/// In place of `fs/proc/cmdline.c`: with that of the wrong one.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn cmdline_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: As the kernel called. It takes the same arguments and returns the same.
    unsafe {
        print_place(
            m,
            transmute::<unsafe extern "C" fn(*const u8, *const u8) -> c_int, Compare>(compare_numbers),
        )
    }
}
