//! System calls of 64-bit and of 32-bit programs, for the thread `klp-syscalls` alone.
#![no_std]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use klp_runtime::prelude::*;
use klp_runtime::task;
use klp_test_support::test_patch;

test_patch!(replace: false);

/// Calls of `getpid`.
static CALLS: AtomicU64 = AtomicU64::new(0);

// ANCHOR: getpid
fn is_ours() -> bool {
    &*task::current().comm() == c"klp-syscalls"
}

#[klp_syscall(name = "getpid", compat, original = original_getpid)]
unsafe extern "C" fn livepatch_getpid() -> c_long {
    if is_ours() {
        pr_info!("getpid {}", CALLS.fetch_add(1, Relaxed) + 1);
    }
    // SAFETY: There are no arguments.
    unsafe { original_getpid() }
}
// ANCHOR_END: getpid

/// One argument in each register.
#[klp_syscall(name = "splice", compat)]
unsafe extern "C" fn livepatch_splice(
    fd_in: c_int,
    off_in: *mut i64,
    fd_out: c_int,
    off_out: *const i64,
    len: usize,
    flags: c_uint,
) -> c_long {
    if !is_ours() {
        return ENOSYS.to_errno().into();
    }
    pr_info!("splice {fd_in} {off_in:?} {fd_out} {off_out:?} {len:#x} {flags:#x}");
    (-7_i32).into()
}

/// 32-bit programs have an entry of another name; a `long` of theirs has 32 bits.
#[klp_syscall(name = "sysinfo", compat = "compat_sys_sysinfo")]
unsafe extern "C" fn livepatch_sysinfo(info: c_long) -> c_long {
    if !is_ours() {
        return ENOSYS.to_errno().into();
    }
    pr_info!("sysinfo {info}");
    0
}

/// The original is called with other arguments.
#[klp_syscall(name = "getpriority", compat, original = original_getpriority)]
unsafe extern "C" fn livepatch_getpriority(which: c_int, who: c_int) -> c_long {
    if !is_ours() {
        // SAFETY: The arguments are those of the call.
        return unsafe { original_getpriority(which, who) };
    }
    pr_info!("getpriority {which} {who}");
    // SAFETY: Of a process, 0 is the caller.
    unsafe { original_getpriority(which - 100, who - 7) }
}

/// The original of 32-bit programs has a structure of another size.
#[klp_syscall(name = "times", compat = "compat_sys_times", original = original_times)]
unsafe extern "C" fn livepatch_times(buffer: *mut c_void) -> c_long {
    // SAFETY: The arguments are those of the call.
    unsafe { original_times(buffer) }
}
