//! A panic in patch code: a BUG with its message and location, never unwinding.

use core::arch::asm;
use core::panic::PanicInfo;

use crate::log;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(location) => log::bug(format_args!("panicked at {location}: {}", info.message())),
        None => log::bug(format_args!("panicked: {}", info.message())),
    }
    // SAFETY: The BUG did not return; this tells objtool.
    unsafe { asm!("ud2", options(noreturn)) }
}
