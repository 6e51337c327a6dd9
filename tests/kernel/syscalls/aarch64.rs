//! System calls on arm64. No instruction of a 64-bit program makes one of a 32-bit program.

use std::arch::asm;

/// Makes a system call as a 64-bit program.
pub(super) fn native(number: i64, arguments: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: The calls of the tests touch no memory but what is made for them.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
        );
    }
    result
}

/// The numbers in `scripts/syscall.tbl`.
pub(super) const GETPID: i64 = 172;
pub(super) const SPLICE: i64 = 76;
pub(super) const SYSINFO: i64 = 179;
pub(super) const GETPRIORITY: i64 = 141;
pub(super) const TIMES: i64 = 153;
pub(super) const MMAP: i64 = 222;

/// No flag of `mmap` asks for an address below 4 GiB.
pub(super) const MAP_LOW: u64 = 0;
