//! A panic in patch code: a BUG with its message and location, never unwinding.

use core::panic::PanicInfo;

use crate::{pr_emerg, sys};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    pr_emerg!("{info}");
    // SAFETY: BUG() ends the task that gets here.
    unsafe { sys::klp_glue_bug() }
}
