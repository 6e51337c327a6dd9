//! The kernel's store of shadow variables, as the host has it.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::vec::Vec;

/// The shadow variables of a machine: their data, by id and object.
#[derive(Default)]
pub(crate) struct Store(BTreeMap<(u64, usize), *mut c_void>);

impl Store {
    /// The data of a variable.
    pub(crate) fn get(&self, obj: *mut c_void, id: u64) -> Option<*mut c_void> {
        self.0.get(&(id, obj as usize)).copied()
    }

    /// Adds a variable.
    pub(crate) fn insert(&mut self, obj: *mut c_void, id: u64, data: *mut c_void) {
        self.0.insert((id, obj as usize), data);
    }

    /// Takes a variable out.
    pub(crate) fn remove(&mut self, obj: *mut c_void, id: u64) -> Option<*mut c_void> {
        self.0.remove(&(id, obj as usize))
    }

    /// The objects that have a variable `id`, by address.
    pub(crate) fn objects(&self, id: u64) -> Vec<*mut c_void> {
        self.0.range((id, 0)..=(id, usize::MAX)).map(|((_, obj), _)| *obj as *mut c_void).collect()
    }

    /// The ids and objects of all variables.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.0.keys().copied()
    }
}
