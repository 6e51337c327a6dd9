//! Locks, and how to count without one.
//!
//! # Counters
//!
//! What counts calls needs no lock: an atomic of `core`, relaxed, is one instruction.
//!
//! ```
//! use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
//!
//! static CALLS: AtomicU64 = AtomicU64::new(0);
//!
//! CALLS.fetch_add(1, Relaxed);
//! assert_eq!(CALLS.load(Relaxed), 1);
//! ```
//!
//! A `static` starts anew in each patch. A count that the next version of a patch goes on with is a
//! field of a state's data instead ([`State::Data`](crate::state::State::Data)).

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use crate::sys;

/// A value that one task at a time may use: the kernel's `struct mutex` around it.
///
/// For statics. The kernel's lock validator sees each as a class of its own.
///
/// ```
/// use klp_runtime::sync::Mutex;
///
/// static PENDING: Mutex<u32> = Mutex::new(3);
///
/// *PENDING.lock() -= 1;
/// assert_eq!(*PENDING.lock(), 2);
/// ```
pub struct Mutex<T> {
    raw: sys::RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: The lock lets one task at a time have the value.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub const fn new(value: T) -> Self {
        Self { raw: sys::RawMutex::new(), value: UnsafeCell::new(value) }
    }

    /// Waits until no other task has the value. May sleep: process context only, and not twice in
    /// one task.
    pub fn lock(&'static self) -> MutexGuard<T> {
        self.raw.lock();
        MutexGuard { mutex: self, stays_in_its_task: PhantomData }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

/// The value of a locked [`Mutex`]; unlocks it when dropped.
#[must_use = "the mutex is unlocked when the guard is dropped"]
pub struct MutexGuard<T: 'static> {
    mutex: &'static Mutex<T>,
    /// The kernel's rule: who locked it unlocks it.
    stays_in_its_task: PhantomData<*mut ()>,
}

impl<T> Drop for MutexGuard<T> {
    fn drop(&mut self) {
        // SAFETY: `lock` has locked it, in this task.
        unsafe { self.mutex.raw.unlock() }
    }
}

impl<T> Deref for MutexGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The mutex is locked.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The mutex is locked, and this is its only guard.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
