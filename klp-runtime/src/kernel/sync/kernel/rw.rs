//! Locks for one writer or many readers: `rwlock_t` and `struct rw_semaphore`.

use super::{Guard, Read, ReadBh, ReadIrqsave, ReadSemaphore, Write, WriteBh, WriteIrqsave, WriteSemaphore};
use crate::module::wrappers;
use crate::types::{Is, rw_semaphore, rwlock_t};

/// Takes an `rwlock_t` for reading, waiting for it (`read_lock`). Any context; while it is held, nothing may sleep. Only for a lock that no
/// interrupt and no softirq of this processor takes for writing, or where those are off.
///
/// # Safety
///
/// `lock` is initialised, stays in memory until the guard is dropped, and is not held by this task or processor.
#[inline(always)]
pub unsafe fn read_lock<L: Is<rwlock_t>>(lock: *mut L) -> Guard<Read> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    unsafe { wrappers::klp_glue_kernel_read_lock(lock) };
    Guard::new(lock, ())
}

/// Takes an `rwlock_t` for reading, waiting for it, with softirqs off until it is given back (`read_lock_bh`). Process context
/// or softirq, with interrupts on; while it is held, nothing may sleep.
///
/// # Safety
///
/// As for [`read_lock`].
#[inline(always)]
pub unsafe fn read_lock_bh<L: Is<rwlock_t>>(lock: *mut L) -> Guard<ReadBh> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    unsafe { wrappers::klp_glue_kernel_read_lock_bh(lock) };
    Guard::new(lock, ())
}

/// Takes an `rwlock_t` for reading, waiting for it, with interrupts off until it is given back,
/// where they were on (`read_lock_irqsave`). Any context but a non-maskable interrupt; while it is held, nothing may sleep.
///
/// # Safety
///
/// As for [`read_lock`]. Guards of an `_irqsave` that are held at once must be dropped in the reverse order
/// of their making: otherwise interrupts are on while one of these locks is held.
#[inline(always)]
pub unsafe fn read_lock_irqsave<L: Is<rwlock_t>>(lock: *mut L) -> Guard<ReadIrqsave> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    let flags = unsafe { wrappers::klp_glue_kernel_read_lock_irqsave(lock) };
    Guard::new(lock, flags)
}

/// Takes an `rwlock_t` for writing, waiting for it (`write_lock`). Any context; while it is held, nothing may sleep. Only for a lock that no
/// interrupt and no softirq of this processor takes, or where those are off.
///
/// # Safety
///
/// As for [`read_lock`].
#[inline(always)]
pub unsafe fn write_lock<L: Is<rwlock_t>>(lock: *mut L) -> Guard<Write> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    unsafe { wrappers::klp_glue_kernel_write_lock(lock) };
    Guard::new(lock, ())
}

/// Takes an `rwlock_t` for writing, waiting for it, with softirqs off until it is given back (`write_lock_bh`). Process context
/// or softirq, with interrupts on; while it is held, nothing may sleep.
///
/// # Safety
///
/// As for [`read_lock`].
#[inline(always)]
pub unsafe fn write_lock_bh<L: Is<rwlock_t>>(lock: *mut L) -> Guard<WriteBh> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    unsafe { wrappers::klp_glue_kernel_write_lock_bh(lock) };
    Guard::new(lock, ())
}

/// Takes an `rwlock_t` for writing, waiting for it, with interrupts off until it is given back,
/// where they were on (`write_lock_irqsave`). Any context but a non-maskable interrupt; while it is held, nothing may sleep.
///
/// # Safety
///
/// As for [`read_lock_irqsave`].
#[inline(always)]
pub unsafe fn write_lock_irqsave<L: Is<rwlock_t>>(lock: *mut L) -> Guard<WriteIrqsave> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    let flags = unsafe { wrappers::klp_glue_kernel_write_lock_irqsave(lock) };
    Guard::new(lock, flags)
}

/// Takes an `rw_semaphore` for reading, waiting for it (`down_read`). May sleep: process context only.
///
/// # Safety
///
/// `lock` is initialised, stays in memory until the guard is dropped, and is not held by this task.
#[inline(always)]
pub unsafe fn down_read<L: Is<rw_semaphore>>(lock: *mut L) -> Guard<ReadSemaphore> {
    let lock = lock.cast();
    // SAFETY: The caller has a semaphore that may be taken here.
    unsafe { wrappers::down_read(lock) };
    Guard::new(lock, ())
}

/// Takes an `rw_semaphore` for reading if that needs no waiting (`down_read_trylock`). Process context only, though it does
/// not sleep.
///
/// # Safety
///
/// `lock` is initialised, and stays in memory until the guard is dropped.
#[inline(always)]
pub unsafe fn down_read_trylock<L: Is<rw_semaphore>>(lock: *mut L) -> Option<Guard<ReadSemaphore>> {
    let lock = lock.cast();
    // SAFETY: The caller has a semaphore.
    (unsafe { wrappers::down_read_trylock(lock) } != 0).then(|| Guard::new(lock, ()))
}

/// Takes an `rw_semaphore` for writing, waiting for it (`down_write`). May sleep: process context only.
///
/// # Safety
///
/// `lock` is initialised, stays in memory until the guard is dropped, and is not held by this task.
#[inline(always)]
pub unsafe fn down_write<L: Is<rw_semaphore>>(lock: *mut L) -> Guard<WriteSemaphore> {
    let lock = lock.cast();
    // SAFETY: The caller has a semaphore that may be taken here.
    unsafe { wrappers::down_write(lock) };
    Guard::new(lock, ())
}

/// Takes an `rw_semaphore` for writing if that needs no waiting (`down_write_trylock`). Process context only, though it does
/// not sleep.
///
/// # Safety
///
/// `lock` is initialised, and stays in memory until the guard is dropped.
#[inline(always)]
pub unsafe fn down_write_trylock<L: Is<rw_semaphore>>(lock: *mut L) -> Option<Guard<WriteSemaphore>> {
    let lock = lock.cast();
    // SAFETY: The caller has a semaphore.
    (unsafe { wrappers::down_write_trylock(lock) } != 0).then(|| Guard::new(lock, ()))
}
