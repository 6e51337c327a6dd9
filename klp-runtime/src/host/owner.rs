//! Whose code runs: what it starts ends with its module ([S17](crate::lifecycle#s17)).

use core::cell::{Cell, RefCell};
use std::collections::HashSet;

/// The modules of a machine, as far as they start code that runs on its own.
#[derive(Default)]
pub(crate) struct Owners {
    running: Cell<Owner>,
    stopped: RefCell<HashSet<Owner>>,
    #[cfg(feature = "sim")]
    made: Cell<usize>,
}

/// A module; by default the test itself, which nobody stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Owner(usize);

impl Owners {
    /// A module that is being loaded.
    #[cfg(feature = "sim")]
    pub(crate) fn add(&self) -> Owner {
        self.made.set(self.made.get() + 1);
        Owner(self.made.get())
    }

    /// Whose code runs.
    pub(crate) fn running(&self) -> Owner {
        self.running.get()
    }

    /// Whether the code that runs is that of a module which was stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.borrow().contains(&self.running())
    }

    /// Runs code of a module.
    pub(crate) fn run<R>(&self, owner: Owner, code: impl FnOnce() -> R) -> R {
        let outer = self.running.replace(owner);
        let result = code();
        self.running.set(outer);
        result
    }

    /// From now on the module starts nothing.
    #[cfg(feature = "sim")]
    pub(crate) fn stop(&self, owner: Owner) {
        self.stopped.borrow_mut().insert(owner);
    }
}
