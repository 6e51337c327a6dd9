//! The kernel's mutex, as the host has it.

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

    pub(crate) fn lock(&'static self) {
        if machine().is_atomic() {
            machine().fault("a mutex was locked under the kernel's shadow lock");
        }
        let this = thread::current().id();
        let mut owner = self.owner();
        // The kernel's task would wait for itself.
        assert_ne!(*owner, Some(this), "deadlock: a task has locked a mutex twice");
        while owner.is_some() {
            owner = self.unlocked.wait(owner).unwrap_or_else(PoisonError::into_inner);
        }
        *owner = Some(this);
    }

    pub(crate) unsafe fn unlock(&'static self) {
        *self.owner() = None;
        self.unlocked.notify_one();
    }

    fn owner(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
