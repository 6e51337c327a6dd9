//! Objects of a patch in the model, and their callbacks.

use core::cell::Cell;
use core::ffi::{CStr, c_int};
use core::ptr;
use std::ffi::CString;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

use super::livepatch::Livepatch;
use super::module::Module;
use super::patch::{Action, Callback, text};
use super::trace::Event;
use crate::error::{Result, to_result};
use crate::host::{HostObject, Natives};
use crate::object::ObjectEntry;

/// An object of a made-up patch with callbacks, all four, which the model records.
#[derive(Clone)]
pub struct Object {
    pub(super) name: Option<CString>,
    source: Source,
}

/// Where an object's callbacks are.
#[derive(Clone)]
enum Source {
    /// In a crate.
    Crate(ObjectEntry),
    /// In the model, with what the test has to add.
    Model(Option<Action>),
}

impl Object {
    /// The kernel itself.
    #[must_use]
    pub fn vmlinux() -> Self {
        Self { name: None, source: Source::Model(None) }
    }

    /// A module.
    #[must_use]
    pub fn module(name: &str) -> Self {
        Self { name: Some(text(name)), source: Source::Model(None) }
    }

    /// Runs `action` in each of the callbacks. Its result counts in `pre_patch` only.
    #[must_use]
    pub fn on(mut self, action: impl Fn(Callback) -> Result + 'static) -> Self {
        self.source = Source::Model(Some(Rc::new(action)));
        self
    }

    pub(super) fn of_entry(entry: ObjectEntry) -> Self {
        // SAFETY: Null or a constant string of the crate.
        let name = (!entry.name.is_null()).then(|| unsafe { CStr::from_ptr(entry.name) }.into());
        Self { name, source: Source::Crate(entry) }
    }

    /// The module's name as text; none for vmlinux.
    pub(super) fn name(&self) -> Option<String> {
        self.name.as_ref().map(|name| name.to_string_lossy().into_owned())
    }

    fn call(&self, callback: Callback, object: &mut HostObject) -> Result {
        match &self.source {
            Source::Model(action) => action.as_ref().map_or(Ok(()), |action| action(callback)),
            Source::Crate(entry) => {
                let object = ptr::from_mut(object).cast();
                // SAFETY: As the kernel calls it, with the host's object.
                let errno = unsafe {
                    match callback {
                        Callback::PrePatch => entry.pre_patch.map(|callback| callback(object)),
                        Callback::PostPatch => entry.post_patch.map(|callback| callback(object)).map(|()| 0),
                        Callback::PreUnpatch => {
                            entry.pre_unpatch.map(|callback| callback(object)).map(|()| 0)
                        }
                        Callback::PostUnpatch => {
                            entry.post_unpatch.map(|callback| callback(object)).map(|()| 0)
                        }
                        Callback::TakeOver(_) | Callback::Migrate => None,
                    }
                };
                to_result(errno.unwrap_or(0)).map(|_| ())
            }
        }
    }

    fn has(&self, callback: Callback) -> bool {
        match &self.source {
            Source::Model(_) => true,
            Source::Crate(entry) => match callback {
                Callback::PrePatch => entry.pre_patch.is_some(),
                Callback::PostPatch => entry.post_patch.is_some(),
                Callback::PreUnpatch => entry.pre_unpatch.is_some(),
                Callback::PostUnpatch => entry.post_unpatch.is_some(),
                Callback::TakeOver(_) | Callback::Migrate => false,
            },
        }
    }
}

impl core::fmt::Debug for Object {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Object").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An object of a loaded patch, in the kernel's words: vmlinux or a module.
#[derive(Debug)]
pub(super) struct LoadedObject {
    /// The module's name; none for vmlinux.
    pub(super) name: Option<String>,
    /// Whether its functions are redirected.
    pub(super) patched: Cell<bool>,
    /// Whether its `pre_patch` has succeeded, so that `post_unpatch` is due.
    pub(super) post_unpatch_due: Cell<bool>,
}

impl LoadedObject {
    pub(super) fn new(name: Option<String>) -> Self {
        Self { name, patched: Cell::new(false), post_unpatch_due: Cell::new(false) }
    }
}

/// What a module is doing while a callback of its object runs, as `klp_glue_object_state` returns it.
#[derive(Clone, Copy, Debug)]
pub(super) enum During {
    Live = 0,
    Coming = 1,
    Going = 2,
}

impl Livepatch {
    /// Calls a callback that the patch has itself for the object, if it has it.
    pub(super) fn call_own(
        &self,
        module: &Module,
        object: &LoadedObject,
        callback: Callback,
        during: During,
    ) -> Result {
        let mut own = module.patch.own_objects.iter();
        let Some(own) = own.find(|own| own.name() == object.name && own.has(callback)) else {
            return Ok(());
        };
        let machine = &self.current.machine;
        self.current.event(Event::Object {
            patch: module.patch.name.clone(),
            callback,
            object: object.name.as_deref().unwrap_or("vmlinux").to_string(),
        });
        let previous = self.in_transition().map(|transiting| {
            let older = self.patches().iter().take_while(|other| !Rc::ptr_eq(other, transiting));
            older.flat_map(|older| older.native_states()).collect::<Vec<_>>()
        });
        machine.natives.replace(Natives { own: module.native_states(), previous });
        let state = if object.name.is_some() { during as c_int } else { -1 };
        let name = own.name.as_ref().map_or(ptr::null(), |name| name.as_ptr());
        let call = || own.call(callback, &mut HostObject { name, state });
        let result = machine.owners.run(module.owner, call);
        machine.natives.take();
        result
    }
}
