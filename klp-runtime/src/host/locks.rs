//! The kernel's locks, as the host has them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::machine;

/// As `sys::kernel` has it.
pub(crate) struct RawMutex {
    owner: Mutex<Option<ThreadId>>,
    unlocked: Condvar,
}

impl RawMutex {
    pub(crate) const fn new() -> Self {
        Self { owner: Mutex::new(None), unlocked: Condvar::new() }
    }

    pub(crate) fn lock(&self) {
        if machine().is_atomic() {
            machine().fault("a mutex was locked in atomic context");
        }
        self.wait_and_lock();
    }

    fn wait_and_lock(&self) {
        let this = thread::current().id();
        let mut owner = self.owner();
        // The kernel's task would wait for itself.
        assert_ne!(*owner, Some(this), "deadlock: a task has locked a lock twice");
        while owner.is_some() {
            owner = self.unlocked.wait(owner).unwrap_or_else(PoisonError::into_inner);
        }
        *owner = Some(this);
    }

    /// # Safety
    ///
    /// This thread has locked it.
    pub(crate) unsafe fn unlock(&self) {
        *self.owner() = None;
        self.unlocked.notify_one();
    }

    fn owner(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As `sys::kernel` has it: who waits does not spin.
pub(crate) struct RawSpinLock(RawMutex);

impl RawSpinLock {
    pub(crate) const fn new() -> Self {
        Self(RawMutex::new())
    }

    pub(crate) fn lock(&self) {
        self.0.wait_and_lock();
        machine().spinlocks.update(|locked| locked + 1);
    }

    /// # Safety
    ///
    /// This thread has locked it.
    pub(crate) unsafe fn unlock(&self) {
        machine().spinlocks.update(|locked| locked.saturating_sub(1));
        // SAFETY: The caller has locked this lock, and with it the mutex that stands for it.
        unsafe { self.0.unlock() }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::machine;
    use crate::alloc::{GFP_ATOMIC, GFP_KERNEL, KBox};
    use crate::sync::{Mutex, SpinLock};

    #[test]
    fn what_sleeps_under_a_spinlock_is_a_fault() {
        static SPINLOCK: SpinLock<u32> = SpinLock::new(0);
        static MUTEX: Mutex<u32> = Mutex::new(0);
        let guard = SPINLOCK.lock();
        drop(KBox::new(1, GFP_ATOMIC).unwrap());
        assert_eq!(machine().take_faults(), Vec::<&str>::new());
        drop(KBox::new(1, GFP_KERNEL).unwrap());
        drop(MUTEX.lock());
        assert_eq!(
            machine().take_faults(),
            [
                "an allocation that may sleep was made under a spinlock",
                "a mutex was locked in atomic context"
            ]
        );
        drop(guard);
        drop(MUTEX.lock());
        assert_eq!(machine().take_faults(), Vec::<&str>::new());
    }
}
