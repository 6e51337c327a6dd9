//! System calls that are redirected, made as 64-bit and as 32-bit programs make them.

use std::arch::asm;
use std::thread;

use crate::guest::{Log, Patch};

crate::tests![system_calls_of_both_kinds_of_programs];

const SYSCALLS: Patch = Patch("syscalls");

/// Makes a system call as a 64-bit program.
fn native(number: i64, arguments: [u64; 6]) -> i64 {
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
fn compat(number: i64, arguments: [u64; 6]) -> i32 {
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

/// The numbers in `syscall_64.tbl` and `syscall_32.tbl`.
const GETPID: (i64, i64) = (39, 20);
const SPLICE: (i64, i64) = (275, 313);
const SYSINFO: (i64, i64) = (99, 116);
const GETPRIORITY: (i64, i64) = (140, 96);
const TIMES: (i64, i64) = (100, 43);
const MMAP: i64 = 9;

/// A page below 4 GiB, full of ones.
struct Low(*mut u8);

impl Low {
    fn new() -> Self {
        // MAP_PRIVATE, MAP_ANONYMOUS, MAP_32BIT; readable and writable.
        let page = native(MMAP, [0, 4096, 3, 0x02 | 0x20 | 0x40, u64::MAX, 0]);
        assert!(page > 0, "{page}");
        let page = std::ptr::with_exposed_provenance_mut::<u8>(page as usize);
        // SAFETY: The page is ours.
        unsafe { page.write_bytes(0xff, 4096) };
        Self(page)
    }

    fn address(&self) -> u64 {
        self.0.expose_provenance() as u64
    }

    /// The number of bytes up to the last that is no more as it was.
    fn written(&self) -> usize {
        // SAFETY: The page stays.
        let bytes = unsafe { std::slice::from_raw_parts(self.0, 4096) };
        bytes.iter().rposition(|byte| *byte != 0xff).map_or(0, |last| last + 1)
    }
}

fn system_calls_of_both_kinds_of_programs() {
    thread::Builder::new().name("klp-syscalls".into()).spawn(make_calls).unwrap().join().unwrap();
}

fn make_calls() {
    let pid = std::process::id();
    let mut log = Log::new();
    let pids = || (native(GETPID.0, [0; 6]) as u32, compat(GETPID.1, [0; 6]) as u32);
    assert_eq!(pids(), (pid, pid));

    SYSCALLS.enable();
    assert_eq!(pids(), (pid, pid));
    assert_eq!(log.of_patches(), ["syscalls.getpid 1", "syscalls.getpid 2"]);

    let arguments = [u64::MAX, 0x1_2345_6789, 3, 0x4000, u64::MAX, 6];
    assert_eq!(native(SPLICE.0, arguments), -7);
    assert_eq!(log.of_patches(), ["syscalls.splice -1 0x123456789 3 0x4000 0xffffffffffffffff 0x6"]);
    assert_eq!(compat(SPLICE.1, arguments), -7);
    assert_eq!(log.of_patches(), ["syscalls.splice -1 0x23456789 3 0x4000 0xffffffff 0x6"]);

    assert_eq!(native(SYSINFO.0, [u64::MAX, 0, 0, 0, 0, 0]), 0);
    assert_eq!(native(SYSINFO.0, [0xffff_fffe, 0, 0, 0, 0, 0]), 0);
    assert_eq!(compat(SYSINFO.1, [0xffff_fffe, 0, 0, 0, 0, 0]), 0);
    assert_eq!(
        log.of_patches(),
        ["syscalls.sysinfo -1", "syscalls.sysinfo 4294967294", "syscalls.sysinfo -2"]
    );

    // 20 minus the nice value; the patch takes 100 and 7 away from what it is asked for.
    assert_eq!(native(GETPRIORITY.0, [100, 7, 0, 0, 0, 0]), 20);
    assert_eq!(compat(GETPRIORITY.1, [100, 7, 0, 0, 0, 0]), 20);
    assert_eq!(native(GETPRIORITY.0, [103, 7, 0, 0, 0, 0]), -22);
    let lines = ["syscalls.getpriority 100 7", "syscalls.getpriority 100 7", "syscalls.getpriority 103 7"];
    assert_eq!(log.of_patches(), lines);
    // Four numbers of 8 bytes in one table, of 4 in the other; a 32-bit program has no address above 4 GiB.
    let (native_times, compat_times) = (Low::new(), Low::new());
    native(TIMES.0, [native_times.address(), 0, 0, 0, 0, 0]);
    compat(TIMES.1, [compat_times.address(), 0, 0, 0, 0, 0]);
    assert_eq!((native_times.written(), compat_times.written()), (32, 16));

    SYSCALLS.end();
    assert_eq!(pids(), (pid, pid));
    // Neither NULL nor -1 are descriptors, or memory.
    assert_eq!(compat(SYSINFO.1, [0; 6]), -14);
    assert_eq!(native(SPLICE.0, [u64::MAX; 6]), -22);
    assert_eq!(log.of_patches(), [""; 0]);
}
