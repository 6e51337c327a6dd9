//! System calls of 64-bit and of 32-bit programs, for the thread `klp-syscalls` alone.
#![no_std]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use klp_runtime::prelude::*;
use klp_runtime::task;
use klp_test_support::test_patch;

test_patch!(replace: false);

/// Calls of `getpid`.
static CALLS: AtomicU64 = AtomicU64::new(0);

fn is_ours() -> bool {
    &*task::current().comm() == c"klp-syscalls"
}

#[klp_syscall(name = "getpid", compat)]
unsafe extern "C" fn livepatch_getpid() -> c_long {
    if is_ours() {
        pr_info!("getpid {}", CALLS.fetch_add(1, Relaxed) + 1);
    }
    task::current().tgid_vnr().into()
}

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
