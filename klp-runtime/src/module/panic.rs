//! A panic in patch code: a BUG with its message and location, never unwinding.

use core::arch::asm;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::log;
use crate::module::sys;
use crate::types::task_struct;

/// The task that forms the message of its panic; null for none.
static TELLS: AtomicPtr<task_struct> = AtomicPtr::new(ptr::null_mut());

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let task = sys::klp_glue_current();
    // What the message shows is formatted by code of the patch. Where that panics, its message is left out: it would
    // do so again and again, until the stack is full.
    let panics_again = TELLS.swap(task, Relaxed) == task;
    let told = || TELLS.store(ptr::null_mut(), Relaxed);
    match info.location() {
        Some(location) if panics_again => {
            log::bug(format_args!("panicked at {location}, while a panic was told of"), told);
        }
        Some(location) => log::bug(format_args!("panicked at {location}: {}", info.message()), told),
        None => log::bug(format_args!("panicked: {}", info.message()), told),
    }
    // SAFETY: The BUG did not return; this tells objtool.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("ud2", options(noreturn))
    }
    // SAFETY: The BUG did not return; the number is that of a BUG.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("brk #0x800", options(noreturn))
    }
}
