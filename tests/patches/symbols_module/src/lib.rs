//! Uses what a module that may not be loaded yet has for itself.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

// ANCHOR: symbols
#[klp_symbols(object = "klp_test_hidden")]
unsafe extern "C" {
    static mut klp_test_hidden_number: c_int;
    fn klp_test_hidden_add(number: c_int) -> c_int;
    /// The one of the second file.
    #[klp(symbol = "klp_test_hidden_which", sympos = 2)]
    fn which_of_second() -> c_int;
    /// Two functions have one of this name.
    #[klp(symbol = "calls", static_of = "klp_test_hidden_odd")]
    static calls_of_odd: c_int;
    #[klp(symbol = "calls", static_of = "klp_test_hidden_even")]
    static calls_of_even: c_int;
}
// ANCHOR_END: symbols

unsafe extern "C" {
    /// `include/linux/seq_file.h`: adds to the record that is being read.
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

/// In place of the module's own function: what was found, after adding 100 and then twice 10 to the number.
///
/// # Safety
///
/// Called by the module with the file that is being read.
#[klp_func(symbol = "klp_test_hidden_show", object = "klp_test_hidden")]
unsafe extern "C" fn show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: the module is loaded, as this is called by it, and one task at a time reads the file.
    unsafe {
        klp_test_hidden_number += 100;
        let number = klp_test_hidden_add(10);
        seq_printf(
            m,
            c"patched: %d %d %d %d\n".as_ptr(),
            number,
            which_of_second(),
            calls_of_odd,
            calls_of_even,
        );
    }
    0
}

/// In place of the module's own function: adds the double.
///
/// # Safety
///
/// Called by the module, and by the patch.
#[klp_func(symbol = "klp_test_hidden_add", object = "klp_test_hidden", original = original_add)]
unsafe extern "C" fn add(number: c_int) -> c_int {
    // SAFETY: any number will do.
    unsafe { original_add(2 * number) }
}
