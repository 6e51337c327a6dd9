//! The kernel's own checkers, which the debug kernel has: that each reports what is planted for it, and that
//! its report is seen.

use std::ffi::CString;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use crate::guest::{Log, Patch, is_complaint};

// Lockdep's is the first: it is off from any report on, its own too.
crate::tests![
    a_lock_order_is_reported,
    a_sleep_where_none_may_be_is_reported,
    a_corrupted_list_is_reported,
    a_refcount_from_zero_is_reported,
    an_undefined_shift_is_reported,
    the_end_of_an_active_object_is_reported,
    a_use_of_freed_memory_in_c_is_reported,
    a_use_of_freed_memory_in_rust_is_reported,
    a_read_behind_an_array_on_the_stack_in_rust_is_reported,
    a_read_behind_a_static_in_rust_is_reported,
    a_leak_is_reported,
];

/// The modules that do wrong on purpose.
pub(crate) const PLANTED: [Patch; 2] = [FAULTY, UNSOUND];
/// In C, and refused in the end.
const FAULTY: Patch = Patch("faulty");
/// In Rust.
const UNSOUND: Patch = Patch("unsound");

fn a_lock_order_is_reported() {
    assert_reported(FAULTY, "lock_order", "WARNING: possible circular locking dependency detected");
    assert!(!is_lockdep_on());
}

fn a_sleep_where_none_may_be_is_reported() {
    assert_reported(FAULTY, "atomic_sleep", "BUG: sleeping function called from invalid context");
}

fn a_corrupted_list_is_reported() {
    assert_reported(FAULTY, "list_corruption", "list_del corruption");
}

fn a_refcount_from_zero_is_reported() {
    assert_reported(FAULTY, "refcount", "refcount_t: addition on 0");
}

fn an_undefined_shift_is_reported() {
    assert_reported(FAULTY, "shift", "UBSAN: shift-out-of-bounds");
}

fn the_end_of_an_active_object_is_reported() {
    assert_reported(FAULTY, "active_object", "ODEBUG: free active");
}

fn a_use_of_freed_memory_in_c_is_reported() {
    assert_reported(FAULTY, "use_after_free", "BUG: KASAN: slab-use-after-free");
}

fn a_use_of_freed_memory_in_rust_is_reported() {
    assert_reported(UNSOUND, "1", "BUG: KASAN: slab-use-after-free");
}

fn a_read_behind_an_array_on_the_stack_in_rust_is_reported() {
    assert_reported(UNSOUND, "2", "BUG: KASAN: stack-out-of-bounds");
}

fn a_read_behind_a_static_in_rust_is_reported() {
    assert_reported(UNSOUND, "3", "BUG: KASAN: global-out-of-bounds");
}

fn a_leak_is_reported() {
    assert_eq!(leaks(), "");
    provoke(FAULTY, "leak");
    let leaks = leaks();
    assert!(leaks.contains("unreferenced object") && leaks.contains("(size 1024)"), "{leaks}");
}

/// Loads the module with a fault, which must be reported in a line that counts as a complaint.
fn assert_reported(module: Patch, fault: &str, report: &str) {
    let mut log = Log::new();
    provoke(module, fault);
    let lines = log.lines();
    let reported = lines.iter().any(|line| line.contains(report) && is_complaint(line));
    assert!(reported, "expected `{report}`, found {lines:#?}");
}

fn provoke(module: Patch, fault: &str) {
    let parameters = CString::new(format!("fault={fault}")).unwrap();
    assert_eq!(module.insert_with(&parameters), Err(Errno::IO), "insmod {}", module.0);
}

/// What the checkers that are not heard in the log have found by the end of a boot; nothing on a kernel without them.
pub(crate) fn verdict() -> Result<(), String> {
    if !is_lockdep_on() {
        return Err("lockdep is off: it has reported something, or another checker has".into());
    }
    match leaks() {
        leaks if leaks.is_empty() => Ok(()),
        leaks => Err(format!("kmemleak reports:\n{leaks}")),
    }
}

/// Whether lockdep still watches, where the kernel has it.
fn is_lockdep_on() -> bool {
    let Ok(statistics) = fs::read_to_string("/proc/lockdep_stats") else { return true };
    statistics.lines().any(|line| line.trim_start().starts_with("debug_locks:") && line.ends_with('1'))
}

/// Does something that leaks memory on purpose: kmemleak must find it, and is told to forget it.
pub(crate) fn leaking(work: impl FnOnce()) {
    assert_eq!(leaks(), "", "before the leak that is planted");
    work();
    if let Some(kmemleak) = kmemleak() {
        assert_ne!(leaks(), "");
        fs::write(kmemleak, "clear").unwrap();
    }
}

/// Has kmemleak forget what was allocated for a function of the kernel; it must know of nothing else.
pub(crate) fn forget_leaks(function: &str) {
    let leaks = leaks();
    let others: Vec<&str> = leaks
        .split("unreferenced object")
        .skip(1)
        .filter(|leak| !leak.contains(&format!(" {function}+")))
        .collect();
    assert!(others.is_empty(), "{}", others.concat());
    if let Some(kmemleak) = kmemleak() {
        fs::write(kmemleak, "clear").unwrap();
    }
}

/// What nothing refers to, as kmemleak has it; nothing on a kernel without it.
fn leaks() -> String {
    /// How old an object must be, and some time for what RCU frees later.
    const AGE: Duration = Duration::from_secs(7);
    let Some(kmemleak) = kmemleak() else { return String::new() };
    thread::sleep(AGE);
    // What moves during one scan is found by the next.
    for _ in 0..2 {
        fs::write(kmemleak, "scan").unwrap();
    }
    fs::read_to_string(kmemleak).unwrap()
}

fn kmemleak() -> Option<&'static Path> {
    Some(Path::new("/sys/kernel/debug/kmemleak")).filter(|file| file.exists())
}
