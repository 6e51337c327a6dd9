//! System calls that are redirected, made as 64-bit and as 32-bit programs make them.

use std::thread;

use crate::guest::{Log, Patch};

#[cfg(target_arch = "aarch64")]
#[path = "syscalls/aarch64.rs"]
mod machine;
#[cfg(target_arch = "x86_64")]
#[path = "syscalls/x86_64.rs"]
mod machine;

use machine::{GETPID, GETPRIORITY, MAP_LOW, MMAP, SPLICE, SYSINFO, TIMES, native};

crate::tests![system_calls_of_64_bit_programs, system_calls_of_32_bit_programs];

const SYSCALLS: Patch = Patch("syscalls");

/// A page full of ones, below 4 GiB where 32-bit programs' calls can be made.
struct Page(*mut u8);

impl Page {
    fn new() -> Self {
        // MAP_PRIVATE, MAP_ANONYMOUS; readable and writable.
        let page = native(MMAP, [0, 4096, 3, 0x02 | 0x20 | MAP_LOW, u64::MAX, 0]);
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

/// Runs in a thread with the name that the patch looks for.
fn in_thread(calls: fn()) {
    thread::Builder::new().name("klp-syscalls".into()).spawn(calls).unwrap().join().unwrap();
}

fn system_calls_of_64_bit_programs() {
    in_thread(|| {
        let pid = i64::from(std::process::id());
        let mut log = Log::new();
        assert_eq!(native(GETPID, [0; 6]), pid);

        SYSCALLS.enable();
        assert_eq!(native(GETPID, [0; 6]), pid);
        assert_eq!(log.of_patches(), ["syscalls.getpid 1"]);

        let arguments = [u64::MAX, 0x1_2345_6789, 3, 0x4000, u64::MAX, 6];
        assert_eq!(native(SPLICE, arguments), -7);
        assert_eq!(log.of_patches(), ["syscalls.splice -1 0x123456789 3 0x4000 0xffffffffffffffff 0x6"]);

        assert_eq!(native(SYSINFO, [u64::MAX, 0, 0, 0, 0, 0]), 0);
        assert_eq!(native(SYSINFO, [0xffff_fffe, 0, 0, 0, 0, 0]), 0);
        assert_eq!(log.of_patches(), ["syscalls.sysinfo -1", "syscalls.sysinfo 4294967294"]);

        // 20 minus the nice value; the patch takes 100 and 7 away from what it is asked for.
        assert_eq!(native(GETPRIORITY, [100, 7, 0, 0, 0, 0]), 20);
        assert_eq!(native(GETPRIORITY, [103, 7, 0, 0, 0, 0]), -22);
        assert_eq!(log.of_patches(), ["syscalls.getpriority 100 7", "syscalls.getpriority 103 7"]);

        // Four numbers of 8 bytes.
        let times = Page::new();
        native(TIMES, [times.address(), 0, 0, 0, 0, 0]);
        assert_eq!(times.written(), 32);

        SYSCALLS.end();
        assert_eq!(native(GETPID, [0; 6]), pid);
        // -1 is no descriptor.
        assert_eq!(native(SPLICE, [u64::MAX; 6]), -22);
        assert_eq!(log.of_patches(), [""; 0]);
    });
}

#[cfg(target_arch = "x86_64")]
fn system_calls_of_32_bit_programs() {
    use machine::{compat, numbers_32};

    in_thread(|| {
        let pid = std::process::id() as i32;
        let mut log = Log::new();
        assert_eq!(compat(numbers_32::GETPID, [0; 6]), pid);

        SYSCALLS.enable();
        assert_eq!(compat(numbers_32::GETPID, [0; 6]), pid);
        assert_eq!(log.of_patches(), ["syscalls.getpid 1"]);

        let arguments = [u64::MAX, 0x1_2345_6789, 3, 0x4000, u64::MAX, 6];
        assert_eq!(compat(numbers_32::SPLICE, arguments), -7);
        assert_eq!(log.of_patches(), ["syscalls.splice -1 0x23456789 3 0x4000 0xffffffff 0x6"]);

        assert_eq!(compat(numbers_32::SYSINFO, [0xffff_fffe, 0, 0, 0, 0, 0]), 0);
        assert_eq!(log.of_patches(), ["syscalls.sysinfo -2"]);

        assert_eq!(compat(numbers_32::GETPRIORITY, [100, 7, 0, 0, 0, 0]), 20);
        assert_eq!(log.of_patches(), ["syscalls.getpriority 100 7"]);

        // Four numbers of 4 bytes. A 32-bit program has no address above 4 GiB.
        let times = Page::new();
        compat(numbers_32::TIMES, [times.address(), 0, 0, 0, 0, 0]);
        assert_eq!(times.written(), 16);

        SYSCALLS.end();
        assert_eq!(compat(numbers_32::GETPID, [0; 6]), pid);
        // NULL is no memory.
        assert_eq!(compat(numbers_32::SYSINFO, [0; 6]), -14);
        assert_eq!(log.of_patches(), [""; 0]);
    });
}

/// On arm64 it takes a 32-bit program.
#[cfg(not(target_arch = "x86_64"))]
fn system_calls_of_32_bit_programs() {
    unreachable!("it is of x86 alone");
}
