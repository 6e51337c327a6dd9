//! Each of the runtime's helpers, driven through files under `/sys/kernel/klp_test_primitives`.
#![no_std]

mod raw;

use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;

use klp_runtime::list::List;
use klp_runtime::prelude::*;
use klp_runtime::sync::{Mutex, SpinLock};
use klp_runtime::time::{jiffies, msecs_to_jiffies, time_after};
use klp_runtime::work::DelayedWork;
use klp_runtime::{sysfs, task};
use klp_test_support::test_patch;

test_patch!(replace: false);

unsafe extern "C" {
    /// `kernel/time/sleep_timeout.c`: sleeps.
    fn msleep(msecs: c_uint);
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

/// The calls of the redirected function, counted one at a time.
struct Calls {
    count: u64,
    by: List<Caller>,
}

struct Caller {
    tgid: c_int,
    calls: u64,
}

static CALLS: Mutex<Calls> = Mutex::new(Calls { count: 0, by: List::new() });
/// Adds of the redirected function.
static ADDS: SpinLock<u64> = SpinLock::new(0);
const ADDS_OF_A_CALL: u64 = 1000;

static DIRECTORY: Mutex<Option<sysfs::Directory>> = Mutex::new(None);

/// Sleeps between reading the count and writing it: without the lock some calls would not be counted.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn livepatch_version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    for _ in 0..ADDS_OF_A_CALL {
        let mut adds = ADDS.lock();
        let before = *adds;
        // An emulated processor lets the other one run here.
        core::hint::spin_loop();
        *adds = before + 1;
    }
    let mut calls = CALLS.lock();
    let before = calls.count;
    // SAFETY: A process reads the file: the context may sleep.
    unsafe { msleep(1) };
    calls.count = before + 1;

    let tgid = task::current().tgid_vnr();
    match calls.by.iter_mut().find(|caller| caller.tgid == tgid) {
        Some(caller) => caller.calls += 1,
        None => {
            if let Err(error) = calls.by.push_back(Caller { tgid, calls: 1 }, GFP_KERNEL) {
                return error.to_errno();
            }
        }
    }
    // SAFETY: `m` is the file that the kernel reads; the format takes one number.
    unsafe { seq_printf(m, c"%llu\n".as_ptr(), calls.count) };
    0
}

static DONE: AtomicU64 = AtomicU64::new(0);

/// Done when a test says so.
static ONCE: DelayedWork = DelayedWork::new(|| {
    DONE.fetch_add(1, Relaxed);
});

/// Does not end by itself.
static AGAIN: DelayedWork = DelayedWork::new(|| {
    DONE.fetch_add(1, Relaxed);
    AGAIN.schedule(Duration::from_millis(1));
});

/// Cancels its own call, which it does not wait for.
static ITSELF: DelayedWork = DelayedWork::new(|| {
    ITSELF.schedule(HOUR);
    if ITSELF.cancel_sync() {
        DONE.fetch_add(1, Relaxed);
    }
});

/// Waits for another work.
static STOP: DelayedWork = DelayedWork::new(|| {
    AGAIN.cancel_sync();
});

const HOUR: Duration = Duration::from_secs(3600);

fn work(order: &str) -> Result {
    let as_expected = match order {
        "now" => ONCE.schedule(Duration::ZERO),
        "later" => ONCE.schedule(HOUR) && !ONCE.schedule(Duration::ZERO),
        "cancel" => ONCE.cancel_sync(),
        "again" => AGAIN.schedule(Duration::ZERO),
        "itself" => ITSELF.schedule(Duration::ZERO),
        "drop" => DIRECTORY.lock().take().is_some(),
        "stop" => STOP.schedule(Duration::ZERO),
        _ => return Err(ENOENT),
    };
    if as_expected { Ok(()) } else { Err(EBUSY) }
}

fn show_callers(text: &mut sysfs::Text<'_>) -> Result {
    for caller in &CALLS.lock().by {
        writeln!(text, "{} {}", caller.tgid, caller.calls)?;
    }
    Ok(())
}

fn show_current(text: &mut sysfs::Text<'_>) -> Result {
    let current = task::current();
    let ids = (current.pid(), current.tgid(), current.pid_vnr(), current.tgid_vnr());
    let (comm, leader, kthread) = (current.comm(), current.is_group_leader(), current.is_kthread());
    Ok(writeln!(text, "{ids:?} {comm} {leader} {kthread}")?)
}

/// Ticks of a second, and whether the time goes on.
fn show_ticks(text: &mut sysfs::Text<'_>) -> Result {
    let before = jiffies();
    // SAFETY: A process reads the file: the context may sleep.
    unsafe { msleep(10) };
    let now = jiffies();
    Ok(writeln!(text, "{} {}", msecs_to_jiffies(1000), time_after(now, before))?)
}

fn show_too_much(text: &mut sysfs::Text<'_>) -> Result {
    loop {
        writeln!(text, "more than a page")?;
    }
}

fn show_longest(text: &mut sysfs::Text<'_>) -> Result {
    for _ in 0..4095 {
        text.write_char('x')?;
    }
    Ok(())
}

struct Primitives;

#[klp_state(id = 30, version = 1)]
impl State for Primitives {
    fn pre_patch(_cx: &StateContext<'_>) -> Result<()> {
        let directory = sysfs::Directory::new(c"klp_test_primitives")?
            .file(c"adds", |text| Ok(writeln!(text, "{}", *ADDS.lock() / ADDS_OF_A_CALL)?))?
            .file(c"callers", show_callers)?
            .file(c"current", show_current)?
            .file(c"ticks", show_ticks)?
            .file(c"longest", show_longest)?
            .file(c"too_much", show_too_much)?
            .writable_file(c"work", |text| Ok(writeln!(text, "{}", DONE.load(Relaxed))?), work)?;
        *DIRECTORY.lock() = Some(directory);
        // Stays until the patch is stopped.
        sysfs::Directory::new(c"klp_test_primitives_kept")?.file(c"current", show_current)?.keep();
        Ok(())
    }

    fn post_patch(_cx: &StateContext<'_>, _data: &()) {
        if let Err(error) = raw::exercise() {
            pr_err!("failed with {error}");
        }
    }

    /// The works were stopped before, and the directories are gone.
    fn post_unpatch(_cx: &StateContext<'_>, _data: &()) {
        pr_info!("waiting: {}", ONCE.cancel_sync());
        drop(DIRECTORY.lock().take());
        CALLS.lock().by.retain(|caller| caller.calls == 0);
        pr_info!("no caller is left: {}", CALLS.lock().by.is_empty());
        raw::clean_up();
    }
}
