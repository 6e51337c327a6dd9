//! The model that runs on this thread: what the callbacks in a patch's tables find it by.

use core::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use super::module::Module;
use super::patch::{Shadow, State};
use super::trace::Event;
use crate::error::Error;
use crate::host::Machine;

/// What the model shares with the code of patches.
pub(super) struct Current {
    pub(super) machine: Rc<Machine>,
    /// The modules of patches that are loaded, by name.
    pub(super) modules: RefCell<BTreeMap<String, Rc<Module>>>,
    pub(super) events: RefCell<Vec<Event>>,
    /// The data of live states of made-up patches: the state's id and the patch that made them.
    pub(super) data: RefCell<HashMap<usize, (u64, String)>>,
    /// The `pre_patch`es that are to fail, by patch and state.
    pub(super) failing: RefCell<HashMap<(String, u64), Error>>,
    /// The address of the entry whose shadow variables are being freed.
    pub(super) freeing: Cell<usize>,
}

std::thread_local! {
    static CURRENT: RefCell<Option<Rc<Current>>> = const { RefCell::new(None) };
}

/// The model of this thread.
///
/// # Panics
///
/// If none runs: then no table of the model can be in use.
pub(super) fn current() -> Rc<Current> {
    CURRENT.with(|current| current.borrow().clone()).expect("a patch is loaded in a model that runs")
}

/// Puts another model in its place; returns the one before.
pub(super) fn replace(model: Option<Rc<Current>>) -> Option<Rc<Current>> {
    CURRENT.with(|current| current.replace(model))
}

impl Current {
    pub(super) fn new(machine: Rc<Machine>) -> Self {
        Self {
            machine,
            modules: RefCell::default(),
            events: RefCell::default(),
            data: RefCell::default(),
            failing: RefCell::default(),
            freeing: Cell::new(0),
        }
    }

    /// Records an event.
    pub(super) fn event(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }

    /// A module of a patch.
    pub(super) fn module(&self, name: &str) -> Option<Rc<Module>> {
        self.modules.borrow().get(name).cloned()
    }

    /// Runs code of a patch: what it starts is stopped with the patch ([S17](crate::lifecycle#s17)).
    ///
    /// # Panics
    ///
    /// If the patch is not loaded.
    pub(super) fn run<R>(&self, patch: &str, code: impl FnOnce() -> R) -> R {
        let owner = self.module(patch).expect("the patch is loaded").owner;
        self.machine.owners.run(owner, code)
    }

    /// The patch and the state whose entry is at an address.
    pub(super) fn state_of(&self, entry: usize) -> Option<(String, State)> {
        self.modules
            .borrow()
            .values()
            .find_map(|module| module.state_at(entry).map(|state| (module.patch.name.clone(), state.clone())))
    }

    /// The patch and the shadow variable whose entry is at an address.
    pub(super) fn shadow_of(&self, entry: usize) -> Option<(String, Shadow)> {
        self.modules.borrow().values().find_map(|module| {
            module.shadow_at(entry).map(|shadow| (module.patch.name.clone(), shadow.clone()))
        })
    }

    /// Unloads a module that nobody refers to: its memory is gone.
    pub(super) fn unload(&self, name: &str) {
        let module = self.modules.borrow_mut().remove(name);
        if let Some(module) = module {
            module.unload(&self.machine);
        }
    }
}
