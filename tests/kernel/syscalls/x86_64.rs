//! System calls on x86.

use std::arch::asm;

/// Makes a system call as a 64-bit program.
pub(super) fn native(number: i64, arguments: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: The calls below touch no memory but what is made for them.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// Makes a system call of 32-bit programs, by the instruction that they use: it has their table in any program.
pub(super) fn compat(number: i64, arguments: [u64; 6]) -> i32 {
    let result: i64;
    // SAFETY: The calls below touch no memory but what is made for them; the registers that the compiler may not give away are restored.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "mov rbx, [r8]",
            "mov rcx, [r8 + 8]",
            "mov rdx, [r8 + 16]",
            "mov rsi, [r8 + 24]",
            "mov rdi, [r8 + 32]",
            "mov rbp, [r8 + 40]",
            "int 0x80",
            "pop rbp",
            "pop rbx",
            inlateout("rax") number => result,
            inlateout("r8") arguments.as_ptr() => _,
            lateout("rcx") _, lateout("rdx") _, lateout("rsi") _, lateout("rdi") _,
            lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    result as i32
}

/// The numbers in `syscall_64.tbl`.
pub(super) const GETPID: i64 = 39;
pub(super) const SPLICE: i64 = 275;
pub(super) const SYSINFO: i64 = 99;
pub(super) const GETPRIORITY: i64 = 140;
pub(super) const TIMES: i64 = 100;
pub(super) const MMAP: i64 = 9;

/// Those in `syscall_32.tbl`.
pub(super) mod numbers_32 {
    pub(in super::super) const GETPID: i64 = 20;
    pub(in super::super) const SPLICE: i64 = 313;
    pub(in super::super) const SYSINFO: i64 = 116;
    pub(in super::super) const GETPRIORITY: i64 = 96;
    pub(in super::super) const TIMES: i64 = 43;
}

/// The flag of `mmap` for an address below 4 GiB.
pub(super) const MAP_LOW: u64 = 0x40;
