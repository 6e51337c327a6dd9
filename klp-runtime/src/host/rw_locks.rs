//! The kernel's locks for one writer or many readers, as the host has them: by their addresses.

use core::ffi::{c_int, c_ulong};
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::vec::Vec;

use super::machine;
use super::wrappers::sleeps;
use crate::types::{rw_semaphore, rwlock_t};

/// Who holds a lock: readers, or one writer.
#[derive(Default)]
struct Holders {
    readers: Vec<ThreadId>,
    writer: Option<ThreadId>,
}

/// What a task wants of a lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
}

/// The locks that are held, by address.
static HELD: Mutex<Option<HashMap<usize, Holders>>> = Mutex::new(None);
/// One of them was given back.
static RELEASED: Condvar = Condvar::new();

type Held = MutexGuard<'static, Option<HashMap<usize, Holders>>>;

fn held() -> Held {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a lock if those who have it let this task.
fn try_take(held: &mut Held, lock: usize, mode: Mode) -> bool {
    let holders = held.get_or_insert_default().entry(lock).or_default();
    let is_free = holders.writer.is_none() && (mode == Mode::Read || holders.readers.is_empty());
    match mode {
        _ if !is_free => {}
        Mode::Read => holders.readers.push(thread::current().id()),
        Mode::Write => holders.writer = Some(thread::current().id()),
    }
    is_free
}

fn take(lock: usize, mode: Mode) {
    let mut held = held();
    while !try_take(&mut held, lock, mode) {
        let task = thread::current().id();
        let holders = held.get_or_insert_default().entry(lock).or_default();
        let is_own = holders.writer == Some(task) || holders.readers.contains(&task);
        assert!(!is_own, "deadlock: a task has locked a lock twice");
        held = RELEASED.wait(held).unwrap_or_else(PoisonError::into_inner);
    }
}

fn give_back(lock: usize, mode: Mode) {
    let task = thread::current().id();
    let mut held = held();
    let holders = held.get_or_insert_default().entry(lock).or_default();
    let is_held = match mode {
        Mode::Write => holders.writer.take() == Some(task),
        Mode::Read => match holders.readers.iter().position(|reader| *reader == task) {
            Some(index) => {
                holders.readers.swap_remove(index);
                true
            }
            None => false,
        },
    };
    drop(held);
    if !is_held {
        machine().fault("a lock was given back that this task does not hold");
    }
    RELEASED.notify_all();
}

macro_rules! spinning {
    ($($mode:ident: $lock:ident, $unlock:ident, $lock_bh:ident, $unlock_bh:ident, $irqsave:ident, $irqrestore:ident;)*) => {$(
        /// # Safety
        ///
        /// None: the lock is known by its address.
        pub(crate) unsafe fn $lock(lock: *mut rwlock_t) {
            take(lock as usize, Mode::$mode);
            machine().spinlocks.update(|locked| locked + 1);
        }

        /// # Safety
        ///
        /// None: the lock is known by its address.
        pub(crate) unsafe fn $unlock(lock: *mut rwlock_t) {
            give_back(lock as usize, Mode::$mode);
            machine().spinlocks.update(|locked| locked.saturating_sub(1));
        }

        pub(crate) use $lock as $lock_bh;
        pub(crate) use $unlock as $unlock_bh;

        /// # Safety
        ///
        /// None: the lock is known by its address.
        pub(crate) unsafe fn $irqsave(lock: *mut rwlock_t) -> c_ulong {
            // SAFETY: It asks for nothing.
            unsafe { $lock(lock) };
            0
        }

        /// # Safety
        ///
        /// None: the lock is known by its address.
        pub(crate) unsafe fn $irqrestore(lock: *mut rwlock_t, _flags: c_ulong) {
            // SAFETY: It asks for nothing.
            unsafe { $unlock(lock) };
        }
    )*};
}

spinning! {
    Read: klp_glue_kernel_read_lock, klp_glue_kernel_read_unlock, klp_glue_kernel_read_lock_bh,
        klp_glue_kernel_read_unlock_bh, klp_glue_kernel_read_lock_irqsave, klp_glue_kernel_read_unlock_irqrestore;
    Write: klp_glue_kernel_write_lock, klp_glue_kernel_write_unlock, klp_glue_kernel_write_lock_bh,
        klp_glue_kernel_write_unlock_bh, klp_glue_kernel_write_lock_irqsave, klp_glue_kernel_write_unlock_irqrestore;
}

macro_rules! sleeping {
    ($($mode:ident: $down:ident, $trylock:ident, $up:ident;)*) => {$(
        /// # Safety
        ///
        /// None: the lock is known by its address.
        pub(crate) unsafe fn $down(lock: *mut rw_semaphore) {
            sleeps("a semaphore was taken");
            take(lock as usize, Mode::$mode);
        }

        /// # Safety
        ///
        /// None: the lock is known by its address.
        pub(crate) unsafe fn $trylock(lock: *mut rw_semaphore) -> c_int {
            try_take(&mut held(), lock as usize, Mode::$mode).into()
        }

        /// # Safety
        ///
        /// None: the lock is known by its address.
        pub(crate) unsafe fn $up(lock: *mut rw_semaphore) {
            give_back(lock as usize, Mode::$mode);
        }
    )*};
}

sleeping! {
    Read: down_read, down_read_trylock, up_read;
    Write: down_write, down_write_trylock, up_write;
}

#[cfg(test)]
mod tests {
    use super::{machine, rw_semaphore, rwlock_t};
    use crate::sync::kernel::{
        down_read, down_read_trylock, down_write, down_write_trylock, read_lock, read_lock_bh,
        read_lock_irqsave, write_lock, write_lock_bh, write_lock_irqsave,
    };

    #[test]
    fn many_read_or_one_writes() {
        let here = [0_u64; 2];
        let lock = (&raw const here[0]).cast_mut().cast::<rwlock_t>();
        let semaphore = (&raw const here[1]).cast_mut().cast::<rw_semaphore>();
        // SAFETY: On the host a lock is its address.
        unsafe {
            for _ in 0..2 {
                drop((read_lock(lock), read_lock_bh(lock), read_lock_irqsave(lock)));
                drop(write_lock(lock));
                drop(write_lock_bh(lock));
                drop(write_lock_irqsave(lock));
            }
            let (one, two) = (down_read(semaphore), down_read_trylock(semaphore).unwrap());
            assert!(down_write_trylock(semaphore).is_none());
            drop((one, two));
            let held = down_write(semaphore);
            assert!(down_read_trylock(semaphore).is_none() && down_write_trylock(semaphore).is_none());
            assert!(machine().take_faults().is_empty());
            drop(held);
            let held = read_lock(lock);
            drop(down_read(semaphore));
            drop(held);
        }
        assert_eq!(machine().take_faults(), ["a semaphore was taken in atomic context"]);
    }
}
