//! Locks, and how to count without one.
//!
//! [`Mutex`] and [`SpinLock`] are for what the patch has itself. The locks in the kernel's structures are taken by
//! [`kernel`], its RCU read side by [`rcu`].
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
//! # What successive patches share
//!
//! A `static` starts anew in each patch: a lock in a static does not keep the functions of one version of
//! the patch apart from those of the next, which run side by side during a transition, and a count starts
//! at 0. What the next version goes on with, locks and counters among it, is the data of a state
//! ([`State::Data`](crate::state::State::Data)), which is handed on:
//!
//! ```standalone_crate
//! use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
//! use klp_runtime::prelude::*;
//! use klp_runtime::sync::Mutex;
//! # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
//!
//! /// The same in all versions of the patch: another layout is refused.
//! #[derive(KlpData)]
//! #[repr(C)]
//! struct Shared {
//!     calls: AtomicU64,
//!     longest: Mutex<u64>,
//! }
//!
//! struct Statistics;
//!
//! #[klp_state(id = 1, version = 1)]
//! impl State for Statistics {
//!     type Data = Shared;
//!
//!     fn pre_patch(_cx: &StateContext<'_>) -> Result<Shared> {
//!         Ok(Shared { calls: AtomicU64::new(0), longest: Mutex::new(0) })
//!     }
//! }
//!
//! /// Called by the functions of each version.
//! fn count(bytes: u64) {
//!     Statistics::with_data(|shared| {
//!         shared.calls.fetch_add(1, Relaxed);
//!         let mut longest = shared.longest.lock();
//!         *longest = bytes.max(*longest);
//!     });
//! }
//! # fn main() {}
//! ```

mod access;
pub mod kernel;
pub mod rcu;
mod refcount;

pub use access::{atomic, atomic64, read_once, write_once};
pub use refcount::Refcount;

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use crate::layout::{Fingerprint, KlpData};
use crate::module::sys;

/// The version of what a lock is in memory, which several modules use at once where it is in a state's data
/// or a shadow variable: the glue's structures, and how the first user makes them.
///
/// It is part of the fingerprints, so patches that mean other things by a lock do not share one
/// ([S1](crate::lifecycle#s1)). Where `klp_glue_mutex`, `klp_glue_spinlock` or the mark of a lock that is being
/// made change, so must this.
const LOCK_VERSION: u64 = 2;

/// A value that one task at a time may use: the kernel's `struct mutex` around it.
///
/// For statics, the data of states and shadow variables. The kernel's lock validator (lockdep) sees each
/// static as a class of its own. It does not check the others, which outlive the module.
///
/// ```
/// use klp_runtime::sync::Mutex;
///
/// static PENDING: Mutex<u32> = Mutex::new(3);
///
/// *PENDING.lock() -= 1;
/// assert_eq!(*PENDING.lock(), 2);
/// ```
#[repr(C)]
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
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.raw.lock();
        MutexGuard { mutex: self, stays_in_its_task: PhantomData }
    }
}

#[diagnostic::do_not_recommend]
// SAFETY: The kernel's own structure, and the value behind it. It can be sent: it is made anew where it is.
unsafe impl<T: KlpData> KlpData for Mutex<T> {
    const FINGERPRINT: u64 =
        Fingerprint::new("mutex").number(LOCK_VERSION).number(T::FINGERPRINT).finish::<Self>();
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

/// The value of a locked [`Mutex`]; unlocks it when dropped.
#[must_use = "the mutex is unlocked when the guard is dropped"]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// The kernel's rule: who locked it unlocks it.
    stays_in_its_task: PhantomData<*mut ()>,
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: `lock` has locked it in this task, and the guard can't go to another one.
        unsafe { self.mutex.raw.unlock() }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The mutex is locked.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The mutex is locked, and this is its only guard.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A value that one processor at a time may use, with interrupts off there: the kernel's `spinlock_t`
/// around it, by `spin_lock_irqsave`.
///
/// For the same uses as [`Mutex`], and where nothing may sleep: in the `Drop` of a shadow variable, a
/// timer, an interrupt. Nothing may sleep while it is locked; allocate with `GFP_ATOMIC` there.
///
/// Several spinlocks may be unlocked in any order: interrupts are on again after the last.
///
/// ```
/// use klp_runtime::prelude::*;
/// use klp_runtime::list::List;
/// use klp_runtime::sync::SpinLock;
///
/// static SEEN: SpinLock<List<u32>> = SpinLock::new(List::new());
///
/// SEEN.lock().push_front(1, GFP_ATOMIC)?;
/// # Ok::<(), Error>(())
/// ```
#[repr(C)]
pub struct SpinLock<T> {
    raw: sys::RawSpinLock,
    value: UnsafeCell<T>,
}

// SAFETY: The lock lets one processor at a time have the value.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// An unlocked spinlock.
    pub const fn new(value: T) -> Self {
        Self { raw: sys::RawSpinLock::new(), value: UnsafeCell::new(value) }
    }

    /// Waits, spinning, until nobody else has the value. Any context but a non-maskable interrupt, and
    /// not twice on one processor.
    pub fn lock(&self) -> SpinLockGuard<'_, T> {
        self.raw.lock();
        SpinLockGuard { lock: self, stays_on_its_processor: PhantomData }
    }
}

#[diagnostic::do_not_recommend]
// SAFETY: The kernel's own structure, and the value behind it. It can be sent: it is made anew where it is.
unsafe impl<T: KlpData> KlpData for SpinLock<T> {
    const FINGERPRINT: u64 =
        Fingerprint::new("spinlock").number(LOCK_VERSION).number(T::FINGERPRINT).finish::<Self>();
}

impl<T> fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpinLock").finish_non_exhaustive()
    }
}

/// The value of a locked [`SpinLock`]; unlocks it when dropped.
#[must_use = "the spinlock is unlocked when the guard is dropped"]
pub struct SpinLockGuard<'a, T> {
    lock: &'a SpinLock<T>,
    /// The kernel's rule: the processor that locked it unlocks it.
    stays_on_its_processor: PhantomData<*mut ()>,
}

impl<T> Drop for SpinLockGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: `lock` has locked it on this processor, and the guard can't go to another one.
        unsafe { self.lock.raw.unlock() }
    }
}

impl<T> Deref for SpinLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The lock is locked.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinLockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is locked, and this is its only guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: fmt::Debug> fmt::Debug for SpinLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
