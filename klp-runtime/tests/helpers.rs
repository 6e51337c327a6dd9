//! What stands for the kernel's primitives on the host: mutexes, work, files of sysfs, tasks.

use std::cell::Cell;
use std::fmt::Write;
use std::thread;
use std::time::Duration;

use klp_runtime::prelude::*;
use klp_runtime::sync::{Mutex, SpinLock};
use klp_runtime::time::{jiffies, msecs_to_jiffies, time_after};
use klp_runtime::work::{self, DelayedWork};
use klp_runtime::{sysfs, task};

const SECOND: Duration = Duration::from_secs(1);

/// Has four threads add 1 a hundred times each.
fn count_to_400(count: impl Fn(fn(&mut u32)) + Sync) {
    /// Another thread that gets between would be lost.
    fn add(count: &mut u32) {
        let before = *count;
        thread::yield_now();
        *count = before + 1;
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| count(add)));
        }
    });
}

#[test]
fn one_at_a_time_has_the_value() {
    static COUNT: Mutex<u32> = Mutex::new(0);
    count_to_400(|add| add(&mut COUNT.lock()));
    assert_eq!(*COUNT.lock(), 400);
}

#[test]
fn one_at_a_time_has_what_a_spinlock_guards() {
    static COUNT: SpinLock<u32> = SpinLock::new(0);
    count_to_400(|add| add(&mut COUNT.lock()));
    assert_eq!(*COUNT.lock(), 400);
}

#[test]
fn ticks_pass_with_the_time() {
    let expires = jiffies() + msecs_to_jiffies(1500);
    work::advance(SECOND);
    assert!(time_after(expires, jiffies()));
    work::advance(SECOND);
    assert!(time_after(jiffies(), expires));
    assert!(time_after(5, u64::MAX - 5), "the counter has wrapped");
    assert!(!time_after(7, 7));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_mutex_is_not_locked_twice_by_one() {
    static MUTEX: Mutex<()> = Mutex::new(());
    let _guard = MUTEX.lock();
    let _ = MUTEX.lock();
}

std::thread_local! {
    /// What the works of a test have done.
    static DONE: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn work_is_done_when_its_time_has_come() {
    static WORK: DelayedWork = DelayedWork::new(|| DONE.set(DONE.get() + 1));
    assert!(WORK.schedule(SECOND));
    assert!(!WORK.schedule(SECOND), "it waits already");
    assert_eq!(work::advance(SECOND - Duration::from_millis(1)), 0);
    assert_eq!((work::advance(SECOND), DONE.get()), (1, 1));
    assert_eq!(work::advance(SECOND), 0, "once");
    assert!(WORK.schedule(Duration::ZERO));
    assert_eq!((work::advance(Duration::ZERO), DONE.get()), (1, 2));
}

#[test]
fn cancelled_work_is_not_done() {
    static WORK: DelayedWork = DelayedWork::new(|| DONE.set(1));
    assert!(!WORK.cancel_sync());
    WORK.schedule(SECOND);
    assert!(WORK.cancel_sync());
    assert!(!WORK.cancel_sync());
    assert_eq!((work::advance(SECOND), DONE.get()), (0, 0));
}

#[test]
fn works_are_done_in_the_order_of_time() {
    static TICK: DelayedWork = DelayedWork::new(|| {
        DONE.set(DONE.get() * 10 + 1);
        TICK.schedule(SECOND * 2);
    });
    static ONCE: DelayedWork = DelayedWork::new(|| DONE.set(DONE.get() * 10 + 2));
    // A part of a millisecond is a whole one.
    ONCE.schedule(SECOND * 3 - Duration::from_nanos(1));
    TICK.schedule(SECOND);
    assert_eq!((work::advance(SECOND * 6), DONE.get()), (4, 1211));
    assert!(TICK.cancel_sync());
}

#[test]
fn files_of_sysfs_are_read_and_written() {
    static LIMIT: Mutex<u32> = Mutex::new(5);
    let directory = sysfs::Directory::new(c"klp_test").unwrap();
    let directory = directory
        .file(c"name", |text| Ok(text.write_str("klp")?))
        .unwrap()
        .writable_file(
            c"limit",
            |text| Ok(writeln!(text, "{}", *LIMIT.lock())?),
            |text| {
                *LIMIT.lock() = text.parse().map_err(|_| ERANGE)?;
                Ok(())
            },
        )
        .unwrap();
    assert_eq!(sysfs::read(c"klp_test", c"name").as_deref(), Ok("klp"));
    assert_eq!(sysfs::write(c"klp_test", c"name", "x"), Err(EACCES));
    assert_eq!(sysfs::write(c"klp_test", c"limit", "70\n"), Ok(()));
    assert_eq!(sysfs::read(c"klp_test", c"limit").as_deref(), Ok("70\n"));
    assert_eq!(sysfs::write(c"klp_test", c"limit", "a lot"), Err(ERANGE));
    assert_eq!(sysfs::read(c"klp_test", c"other"), Err(ENOENT));
    assert_eq!(sysfs::Directory::new(c"klp_test").err(), Some(ENOMEM), "as the kernel says it");
    for name in [c"", c"a/b"] {
        assert_eq!(sysfs::Directory::new(name).err(), Some(EINVAL));
        let directory = sysfs::Directory::new(c"klp_test_names").unwrap();
        assert_eq!(directory.file(name, |_| Ok(())).err(), Some(EINVAL));
    }
    drop(directory);
    assert_eq!(sysfs::read(c"klp_test", c"name"), Err(ENOENT));
}

#[test]
fn a_second_file_of_a_name_takes_the_directory_with_it() {
    let directory = sysfs::Directory::new(c"klp_test").unwrap().file(c"a", |_| Ok(())).unwrap();
    assert_eq!(directory.file(c"a", |_| Ok(())).err(), Some(EEXIST));
    assert_eq!(sysfs::read(c"klp_test", c"a"), Err(ENOENT));
}

#[test]
fn what_a_file_shows_fits_into_a_page() {
    let _directory = sysfs::Directory::new(c"klp_test")
        .unwrap()
        .file(c"page", |text| Ok(text.write_str(&"x".repeat(4095))?))
        .unwrap()
        .file(c"more", |text| Ok(text.write_str(&"x".repeat(4096))?))
        .unwrap()
        .file(c"fails", |_| Err(ENODEV))
        .unwrap();
    assert_eq!(sysfs::read(c"klp_test", c"page").unwrap().len(), 4095);
    assert_eq!(sysfs::read(c"klp_test", c"more"), Err(Error::from_errno(-27)), "EFBIG");
    assert_eq!(sysfs::read(c"klp_test", c"fails"), Err(ENODEV));
}

#[test]
fn the_current_task_is_this_thread() {
    let current = task::current();
    assert_eq!(u32::try_from(current.tgid()), Ok(std::process::id()));
    assert_eq!(current.tgid_vnr(), current.tgid());
    assert!(!current.is_kthread());
    let name = thread::current().name().unwrap().to_owned();
    assert_eq!(current.comm().to_string(), name.chars().take(15).collect::<String>());
    let other = thread::spawn(|| (task::current().pid(), task::current().tgid())).join().unwrap();
    assert_ne!(other.0, current.pid());
    assert_eq!(other.1, current.tgid());
}
