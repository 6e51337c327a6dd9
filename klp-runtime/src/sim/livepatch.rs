//! The kernel's livepatch core, as far as callbacks can tell: `klp_enable_patch`
//! and its kin, one transition at a time, under one mutex.

use core::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

use super::current::Current;
use super::kernel::ENGINE;
use super::module::Module;
use super::object::{During, LoadedObject};
use super::patch::{Callback, Patch};
use crate::error::{EAGAIN, EBUSY, EEXIST, EINVAL, ENOENT, Error, Result};

/// Where a transition goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Patched,
    Unpatched,
}

/// The kernel's state, apart from what modules hold.
pub(super) struct Livepatch {
    pub(super) current: Rc<Current>,
    /// The patches that the kernel lists, in the order of enabling.
    patches: Vec<Rc<Module>>,
    transition: Option<(Rc<Module>, Target)>,
    /// Whether some task never leaves the old code.
    pub(super) stalled: bool,
    /// The modules that are loaded and are no patches.
    targets: BTreeSet<String>,
    /// Patches whose initialisation fails, before any callback.
    pub(super) fail_init: BTreeSet<String>,
    /// Patches of which an object can't be patched; none for vmlinux.
    pub(super) fail_patching: RefCell<BTreeSet<(String, Option<String>)>>,
}

impl Livepatch {
    pub(super) fn new(current: Rc<Current>) -> Self {
        Self {
            current,
            patches: Vec::new(),
            transition: None,
            stalled: false,
            targets: BTreeSet::new(),
            fail_init: BTreeSet::new(),
            fail_patching: RefCell::default(),
        }
    }

    /// The patches that the kernel lists, in the order of enabling.
    pub(super) fn patches(&self) -> &[Rc<Module>] {
        &self.patches
    }

    /// The patch in transition.
    pub(super) fn in_transition(&self) -> Option<&Rc<Module>> {
        self.transition.as_ref().map(|(module, _)| module)
    }

    /// Loads a module, whose init function enables the patch.
    pub(super) fn insmod(&mut self, patch: Patch) -> Result {
        let name = patch.name.clone();
        if self.current.module(&name).is_some() {
            return Err(EEXIST);
        }
        let machine = &self.current.machine;
        let owner = machine.owners.add();
        let patch = machine.owners.run(owner, || patch.choose()).inspect_err(|_| machine.stop(owner))?;
        let is_idle = patch.is_idle;
        let module = Rc::new(Module::load(machine, patch, owner));
        self.current.modules.borrow_mut().insert(name.clone(), Rc::clone(&module));
        let result = if is_idle { Ok(()) } else { self.enable_patch(&module) };
        self.current.machine.module_put(module.node as usize);
        if result.is_err() {
            self.current.unload(&name);
        }
        result
    }

    /// Unloads a module.
    pub(super) fn rmmod(&mut self, name: &str) -> Result {
        let module = self.current.module(name).ok_or(ENOENT)?;
        if module.references(&self.current.machine) > 0 {
            return Err(EAGAIN);
        }
        self.current.unload(name);
        Ok(())
    }

    fn enable_patch(&mut self, module: &Rc<Module>) -> Result {
        if !self.is_compatible(module) {
            self.current.machine.print(std::format!(
                "livepatch: Livepatch patch ({}) is not compatible with the already installed livepatches.",
                module.patch.name
            ));
            return Err(EINVAL);
        }
        self.current.machine.module_get(module.node as usize);
        if self.fail_init.remove(&module.patch.name) {
            self.free(module);
            return Err(EINVAL);
        }
        self.patches.push(Rc::clone(module));
        let result = self.start_enabling(module);
        if result.is_err() {
            self.free(module);
        }
        result
    }

    /// The kernel's own check of its own tables of states ([S14](crate::lifecycle#s14)).
    fn is_compatible(&self, module: &Module) -> bool {
        let ours = module.listed_states();
        self.patches.iter().flat_map(|old| old.listed_states()).all(|(id, version)| {
            match ours.iter().find(|(our_id, _)| *our_id == id) {
                Some((_, our_version)) => *our_version >= version,
                None => !module.patch.replace,
            }
        })
    }

    fn start_enabling(&mut self, module: &Rc<Module>) -> Result {
        if self.transition.is_some() {
            return Err(EBUSY);
        }
        self.transition = Some((Rc::clone(module), Target::Patched));
        let patched = module.objects.iter().filter(|object| self.is_loaded(object)).try_for_each(|object| {
            self.pre_patch(module, object, During::Live).and_then(|()| self.patch_object(module, object))
        });
        if let Err(error) = patched {
            self.transition = Some((Rc::clone(module), Target::Unpatched));
            self.complete();
            return Err(error);
        }
        module.enabled.set(true);
        self.try_complete();
        Ok(())
    }

    /// What writing to the patch's `enabled` does.
    pub(super) fn write_enabled(&mut self, name: &str, enabled: bool) -> Result {
        let module = self.patches.iter().find(|module| module.patch.name == name).cloned().ok_or(ENOENT)?;
        if module.enabled.get() == enabled {
            return Err(EINVAL);
        }
        match &mut self.transition {
            Some((transiting, target)) if Rc::ptr_eq(transiting, &module) => {
                *target = if enabled { Target::Patched } else { Target::Unpatched };
                module.enabled.set(enabled);
                self.try_complete();
                Ok(())
            }
            Some(_) => Err(EBUSY),
            None if enabled => Err(EINVAL),
            None => {
                self.start_disabling(&module);
                Ok(())
            }
        }
    }

    fn start_disabling(&mut self, module: &Rc<Module>) {
        self.transition = Some((Rc::clone(module), Target::Unpatched));
        for object in module.objects.iter().filter(|object| object.patched.get()) {
            self.pre_unpatch(module, object, During::Live);
        }
        module.enabled.set(false);
        self.try_complete();
    }

    /// Finishes the transition unless a task stalls it.
    pub(super) fn try_complete(&mut self) {
        if !self.stalled {
            self.finish();
        }
    }

    /// Finishes the transition whatever tasks do: the kernel keeps for good what they may run.
    pub(super) fn force(&mut self) {
        match &self.transition {
            Some((module, Target::Unpatched)) => module.force(),
            Some((module, Target::Patched)) if module.patch.replace => {
                for other in self.patches.iter().filter(|other| !Rc::ptr_eq(other, module)) {
                    other.force();
                }
            }
            _ => {}
        }
        self.finish();
    }

    fn finish(&mut self) {
        let Some(module) = self.complete() else { return };
        if !module.enabled.get() {
            self.free(&module);
        } else if module.patch.replace {
            for old in self.older_than(&module) {
                self.free(&old);
            }
        }
    }

    /// Every task runs the code that it should: says so. The patch that was in transition.
    fn complete(&mut self) -> Option<Rc<Module>> {
        let (module, target) = self.transition.clone()?;
        if target == Target::Patched && module.patch.replace {
            for old in self.older_than(&module) {
                old.enabled.set(false);
                old.objects.iter().for_each(|object| object.patched.set(false));
            }
        }
        if target == Target::Unpatched {
            module.objects.iter().for_each(|object| object.patched.set(false));
        }
        for object in module.objects.iter().filter(|object| self.is_loaded(object)) {
            match target {
                Target::Patched => self.post_patch(&module, object, During::Live),
                Target::Unpatched => self.post_unpatch(&module, object, During::Live),
            }
        }
        self.transition = None;
        Some(module)
    }

    /// The patches that the kernel lists before `module`.
    fn older_than(&self, module: &Rc<Module>) -> Vec<Rc<Module>> {
        self.patches.iter().take_while(|other| !Rc::ptr_eq(other, module)).cloned().collect()
    }

    /// Takes a patch off the kernel's list and gives its module up.
    fn free(&mut self, module: &Rc<Module>) {
        self.patches.retain(|other| !Rc::ptr_eq(other, module));
        if !module.is_forced() {
            self.current.machine.module_put(module.node as usize);
        }
    }

    /// Whether an object is there to be patched.
    fn is_loaded(&self, object: &LoadedObject) -> bool {
        object.name.as_ref().is_none_or(|name| self.targets.contains(name))
    }

    fn pre_patch(&self, module: &Module, object: &LoadedObject, during: During) -> Result {
        let own = || self.call_own(module, object, Callback::PrePatch, during);
        let result = if is_engine(module, object) {
            // SAFETY: As the kernel calls it; the module is loaded.
            unsafe { ENGINE.vmlinux_pre_patch(module.node, own) }
        } else {
            own()
        };
        object.post_unpatch_due.set(result.is_ok());
        result
    }

    fn post_patch(&self, module: &Module, object: &LoadedObject, during: During) {
        self.call(module, object, Callback::PostPatch, during);
    }

    fn pre_unpatch(&self, module: &Module, object: &LoadedObject, during: During) {
        self.call(module, object, Callback::PreUnpatch, during);
    }

    fn post_unpatch(&self, module: &Module, object: &LoadedObject, during: During) {
        if object.post_unpatch_due.replace(false) {
            self.call(module, object, Callback::PostUnpatch, during);
        }
    }

    /// One of the callbacks that can't fail.
    fn call(&self, module: &Module, object: &LoadedObject, callback: Callback, during: During) {
        let own = || {
            // Only a `pre_patch` may fail.
            let _ = self.call_own(module, object, callback, during);
        };
        match (&object.name, callback) {
            _ if !module.has_engine() => own(),
            // SAFETY: As the kernel calls it; the module is loaded.
            (None, Callback::PostPatch) => unsafe { ENGINE.vmlinux_post_patch(module.node, own) },
            // SAFETY: As the kernel calls it; the module is loaded.
            (None, Callback::PreUnpatch) => unsafe { ENGINE.vmlinux_pre_unpatch(module.node, own) },
            // SAFETY: As the kernel calls it; the module is loaded.
            (None, Callback::PostUnpatch) => unsafe { ENGINE.vmlinux_post_unpatch(module.node, own) },
            (Some(name), Callback::PostUnpatch) => {
                own();
                // SAFETY: As the kernel calls it; the module is loaded.
                unsafe { ENGINE.shadows_object_gone(module.node, &super::patch::text(name)) }
            }
            _ => own(),
        }
    }

    fn patch_object(&self, module: &Module, object: &LoadedObject) -> Result {
        if self.fail_patching.borrow_mut().remove(&(module.patch.name.clone(), object.name.clone())) {
            return Err(EINVAL);
        }
        object.patched.set(true);
        Ok(())
    }

    /// A module that is no patch is loaded: its functions are redirected before its init function runs.
    pub(super) fn load_target(&mut self, name: &str) -> Result {
        if !self.targets.insert(name.to_string()) {
            return Err(EEXIST);
        }
        for module in self.patches.clone() {
            for object in module.objects.iter().filter(|object| object.name.as_deref() == Some(name)) {
                let patched = self
                    .pre_patch(&module, object, During::Coming)
                    .and_then(|()| self.patch_object(&module, object));
                if let Err(error) = patched {
                    self.post_unpatch(&module, object, During::Coming);
                    return Err(self.refuse_target(name, &module, error));
                }
                if !self.is_transiting(&module) {
                    self.post_patch(&module, object, During::Coming);
                }
            }
        }
        Ok(())
    }

    fn refuse_target(&mut self, name: &str, module: &Rc<Module>, error: Error) -> Error {
        for older in self.older_than(module) {
            self.revert(&older, name, During::Coming);
        }
        self.targets.remove(name);
        error
    }

    /// Takes a module that goes from a patch.
    fn revert(&self, module: &Rc<Module>, name: &str, during: During) {
        for object in module.objects.iter().filter(|object| object.name.as_deref() == Some(name)) {
            if !self.is_transiting(module) {
                self.pre_unpatch(module, object, during);
            }
            object.patched.set(false);
            self.post_unpatch(module, object, during);
        }
    }

    fn is_transiting(&self, module: &Rc<Module>) -> bool {
        self.in_transition().is_some_and(|transiting| Rc::ptr_eq(transiting, module))
    }

    /// It is unloaded: its exit function has run.
    pub(super) fn unload_target(&mut self, name: &str) -> Result {
        if !self.targets.contains(name) {
            return Err(ENOENT);
        }
        for module in &self.patches {
            self.revert(module, name, During::Going);
        }
        self.targets.remove(name);
        Ok(())
    }
}

/// Whether it is the object by which the engine is called.
fn is_engine(module: &Module, object: &LoadedObject) -> bool {
    module.has_engine() && object.name.is_none()
}
