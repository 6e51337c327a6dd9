//! Delayed work, as the host has it: a time that passes when a test says so.

use core::cell::Cell;
use core::ffi::c_ulong;
use core::ptr;
use core::time::Duration;
use std::collections::BTreeMap;

use super::machine;
use super::owner::Owner;

/// What is scheduled, by time and by order within a time.
#[derive(Default)]
pub(crate) struct Schedule {
    now: Duration,
    scheduled: u64,
    waiting: BTreeMap<(Duration, u64), Waiting>,
}

#[derive(Clone, Copy)]
struct Waiting {
    work: *const RawWork,
    function: fn(),
    owner: Owner,
}

impl Schedule {
    fn add(&mut self, work: *const RawWork, function: fn(), msecs: u32, owner: Owner) -> bool {
        if self.waiting.values().any(|waiting| ptr::eq(waiting.work, work)) {
            return false;
        }
        self.scheduled += 1;
        let due = self.now + Duration::from_millis(msecs.into());
        self.waiting.insert((due, self.scheduled), Waiting { work, function, owner });
        true
    }

    fn remove(&mut self, work: *const RawWork) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|_, waiting| !ptr::eq(waiting.work, work));
        self.waiting.len() < before
    }

    /// Removes what a module has scheduled.
    #[cfg(feature = "sim")]
    pub(super) fn stop(&mut self, owner: Owner) {
        self.waiting.retain(|_, waiting| waiting.owner != owner);
    }

    /// The next that is due until then; the time goes on to it, or to the end.
    fn next(&mut self, end: Duration) -> Option<Waiting> {
        match self.waiting.first_entry() {
            Some(first) if first.key().0 <= end => {
                self.now = first.key().0;
                Some(first.remove())
            }
            _ => {
                self.now = end;
                None
            }
        }
    }
}

/// Behind [`crate::work::advance`].
pub(crate) fn advance(time: Duration) -> usize {
    let machine = machine();
    let end = machine.schedule.borrow().now + time;
    let mut calls = 0;
    loop {
        // The borrow ends before the function is called, which may schedule more.
        let next = machine.schedule.borrow_mut().next(end);
        let Some(Waiting { function, owner, .. }) = next else { return calls };
        machine.owners.run(owner, function);
        calls += 1;
    }
}

/// A tick is a millisecond of the time that a test lets pass.
pub(crate) fn klp_glue_jiffies() -> c_ulong {
    c_ulong::try_from(machine().schedule.borrow().now.as_millis()).unwrap_or(c_ulong::MAX)
}

pub(crate) fn klp_glue_msecs_to_jiffies(msecs: u32) -> c_ulong {
    msecs.into()
}

/// As `sys::kernel` has it.
pub(crate) struct RawWork {
    /// Gives each an address of its own.
    _place: Cell<u8>,
}

// SAFETY: Nobody looks inside.
unsafe impl Sync for RawWork {}

impl RawWork {
    pub(crate) const fn new() -> Self {
        Self { _place: Cell::new(0) }
    }

    pub(crate) fn schedule(&'static self, function: fn(), msecs: u32) -> bool {
        let machine = machine();
        let owner = machine.owners.running();
        !machine.owners.is_stopped() && machine.schedule.borrow_mut().add(self, function, msecs, owner)
    }

    pub(crate) fn cancel_sync(&'static self) -> bool {
        let machine = machine();
        if machine.is_atomic() {
            machine.fault("work was waited for in atomic context");
        }
        machine.schedule.borrow_mut().remove(self)
    }
}
