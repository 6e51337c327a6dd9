//! The kernel's livepatch core, modelled on the host: for tests of a patch in `cargo test`.
//!
//! [`Sim`] is a machine whose kernel loads patches. They come from crates, through the tables that the macros made,
//! or are [made up](Patch) in the test. The engine that runs their callbacks is the very code that runs in a module.
//!
//! ```standalone_crate
//! use klp_runtime::prelude::*;
//! use klp_runtime::sim::{Patch, Sim};
//!
//! livepatch! {
//!     license: "GPL",
//!     authors: ["A. Author <a@example.org>"],
//!     description: "Does what must be undone",
//! }
//!
//! struct Doing;
//!
//! #[klp_state(id = 1, version = 1)]
//! impl State for Doing {
//!     fn post_patch(_cx: &StateContext<'_>, _data: &()) { /* … */ }
//!     fn pre_unpatch(_cx: &StateContext<'_>, _data: &()) { /* … */ }
//! }
//!
//! # fn main() -> Result {
//! let sim = Sim::new();
//! let patch = Patch::from(livepatch()); // `livepatch!` has made the function
//! let name = patch.name().to_owned();
//! sim.insmod(patch)?;
//! assert_eq!(sim.take_calls(), [format!("{name}.post_patch 1")]);
//!
//! // A later patch, made up here, that lacks the state: it gets stuck, and is taken back.
//! sim.stall();
//! sim.insmod(Patch::new("later").replace())?;
//! assert_eq!(sim.take_calls(), [format!("{name}.pre_unpatch 1")]);
//! sim.disable("later")?;
//! sim.resume();
//! assert_eq!(sim.take_calls(), [format!("{name}.post_patch 1")]);
//!
//! sim.disable(&name)?;
//! sim.rmmod(&name)?;
//! sim.assert_clean();
//! # Ok(())
//! # }
//! ```
//!
//! In a patch crate, the model is a feature of a dependency that only the tests have. The tests must define the
//! functions of the kernel that the patch calls: `examples/loglevel-v2` shows both, with two versions of a patch in
//! one test.
//!
//! ```toml
//! [dev-dependencies]
//! klp-runtime = { version = "…", features = ["sim"] }
//! ```
//!
//! # What is the kernel's, and what is not
//!
//! Modelled as callbacks see them: the kernel's check of its own tables of
//! states, initialisation that fails before any callback, objects in their
//! order, one transition at a time, transitions that stall, are reversed or
//! forced, atomic replace, target modules that come and go, references on
//! modules, memory, and the store of shadow variables. Nothing redirects
//! functions: a test calls the code of its patch itself, for example between
//! two steps, and that code's [`Shadow`](crate::shadow::Shadow) and
//! [`State`](crate::state::State) functions see this machine.
//!
//! # What is detected
//!
//! After each step, the model walks everything that crosses modules, and checks each pointer before it follows it.
//! The memory of an unloaded module, like all freed memory, is poisoned and kept: the model sees what was written
//! there, and a pointer that is read there is invalid on every machine. It also finds memory and state data freed
//! twice or never made, a second shadow variable of one id for an object, sleeping and deadlock under the kernel's
//! shadow lock, a sleepable destructor there, and modules pinned or unpinned when they are gone. Each is a fault:
//! [`Sim::take_faults`] returns them, and a `Sim` dropped with faults that nobody has taken panics.
//! [`Sim::assert_clean`] finds leaks.
//!
//! A callback that panics ends the whole test process, as it would end the
//! kernel's task.

mod audit;
mod current;
mod kernel;
mod livepatch;
mod module;
mod object;
mod patch;
mod trace;

use core::cell::{RefCell, RefMut};
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr;
use std::collections::BTreeMap;
use std::format;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

use crate::abi::{LiveState, SHADOW_SLEEPABLE, SleepableBox};
use crate::alloc::GFP_ATOMIC;
use crate::error::{EEXIST, ENOENT, ENOMEM, Error, Result};
use crate::host::{self, Machine};
use current::Current;
use livepatch::Livepatch;

#[doc(hidden)]
pub use crate::host::{Slots, keep_slots};
pub use audit::{ClaimSnapshot, PatchSnapshot, Snapshot};
pub use object::Object;
pub use patch::{Callback, Patch, Shadow, State};
pub use trace::Event;

/// A machine with a kernel that loads patches: this thread's, until it is dropped.
///
/// The functions that stand for what an administrator does return what the kernel would, and change nothing if they
/// fail.
pub struct Sim {
    current: Rc<Current>,
    livepatch: RefCell<Livepatch>,
    outer_machine: Rc<Machine>,
    outer_current: Option<Rc<Current>>,
    /// It is its thread's.
    not_send: PhantomData<*mut ()>,
}

impl Sim {
    /// Boots a machine.
    #[must_use]
    pub fn new() -> Self {
        let machine = Rc::new(Machine::new(false));
        let current = Rc::new(Current::new(Rc::clone(&machine)));
        Self {
            livepatch: RefCell::new(Livepatch::new(Rc::clone(&current))),
            outer_machine: host::replace_machine(machine),
            outer_current: current::replace(Some(Rc::clone(&current))),
            current,
            not_send: PhantomData,
        }
    }

    /// Loads a patch's module, which enables the patch.
    ///
    /// # Errors
    ///
    /// `EEXIST` if a module of that name is loaded, `EINVAL` where the kernel or
    /// the runtime refuses the patch, `EBUSY` while another is in transition, or
    /// what a `pre_patch` failed with. The module is not loaded then.
    ///
    /// # Panics
    ///
    /// If the tables of one crate are loaded twice, under two names.
    pub fn insmod(&self, patch: impl Into<Patch>) -> Result {
        self.step(|livepatch| livepatch.insmod(patch.into()))
    }

    /// Unloads a patch's module.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it is not loaded, `EAGAIN` while the patch is enabled, or pinned
    /// ([S13](crate::lifecycle#s13)).
    pub fn rmmod(&self, name: &str) -> Result {
        self.step(|livepatch| livepatch.rmmod(name))
    }

    /// Unloads a patch's module as soon as nobody refers to it, be it in the
    /// middle of what another patch does: as an administrator who tries all the time.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it is not loaded.
    pub fn rmmod_soon(&self, name: &str) -> Result {
        self.current.module(name).ok_or(ENOENT)?.going.set(true);
        self.step(|_| Ok(()))
    }

    /// Writes to the patch's `enabled` in sysfs: disables it, or reverses its transition.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the kernel does not list the patch, `EINVAL` if it is so
    /// already, or was disabled, `EBUSY` while another is in transition.
    pub fn write_enabled(&self, name: &str, enabled: bool) -> Result {
        self.step(|livepatch| livepatch.write_enabled(name, enabled))
    }

    /// Disables a patch, or reverses its transition to patched.
    ///
    /// # Errors
    ///
    /// As for [`write_enabled`](Self::write_enabled).
    pub fn disable(&self, name: &str) -> Result {
        self.write_enabled(name, false)
    }

    /// Runs code of a crate's patch, a function that it redirects for example, as a task does: works that it
    /// schedules and directories of sysfs that it makes end with the patch ([S17](crate::lifecycle#s17)). What a
    /// test calls otherwise starts them for good.
    ///
    /// # Panics
    ///
    /// If the patch is not loaded.
    pub fn run<R>(&self, patch: &str, code: impl FnOnce() -> R) -> R {
        self.current.run(patch, code)
    }

    /// From now on some task stays in the code that it runs, so that no transition finishes.
    pub fn stall(&self) {
        self.livepatch().stalled = true;
    }

    /// All tasks run: the transition finishes, and later ones do so at once.
    pub fn resume(&self) {
        self.step(|livepatch| {
            livepatch.stalled = false;
            livepatch.try_complete();
        });
    }

    /// Forces the transition to finish. The kernel never unloads what was forced off.
    pub fn force(&self) {
        self.step(Livepatch::force);
    }

    /// Loads a module that is no patch.
    ///
    /// # Errors
    ///
    /// `EEXIST` if it is loaded, `EINVAL` if a patch can't redirect its functions.
    pub fn load_target(&self, name: &str) -> Result {
        self.step(|livepatch| livepatch.load_target(name))
    }

    /// Unloads it.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it is not loaded.
    pub fn unload_target(&self, name: &str) -> Result {
        self.step(|livepatch| livepatch.unload_target(name))
    }

    /// Of the allocations from now on, `nth` (from 0) fails.
    pub fn fail_alloc(&self, nth: usize) {
        self.current.machine.until_failure.set(Some(nth));
    }

    /// No allocation is to fail any more; whether one was to that had not been made yet.
    pub fn no_alloc_fails(&self) -> bool {
        self.current.machine.until_failure.take().is_some()
    }

    /// The next time that the patch is loaded, the kernel can't initialise it.
    pub fn fail_init(&self, patch: &str) {
        self.livepatch().fail_init.insert(patch.to_string());
    }

    /// The next `pre_patch` or `migrate` of a state of the patch fails with `error`, without being called.
    pub fn fail_pre_patch(&self, patch: &str, state: u64, error: Error) {
        self.current.failing.borrow_mut().insert((patch.to_string(), state), error);
    }

    /// The next time that functions of `object`, none for vmlinux, are to be
    /// redirected by the patch, this fails, with `EINVAL`.
    pub fn fail_patching(&self, patch: &str, object: Option<&str>) {
        self.livepatch()
            .fail_patching
            .borrow_mut()
            .insert((patch.to_string(), object.map(ToString::to_string)));
    }

    /// Takes back what [`fail_patching`](Self::fail_patching) was told of the patch and has not failed yet.
    pub fn patching_works(&self, patch: &str) {
        self.livepatch().fail_patching.borrow_mut().retain(|(other, _)| other != patch);
    }

    /// Whether a patch's module is loaded.
    pub fn is_loaded(&self, name: &str) -> bool {
        self.current.module(name).is_some()
    }

    /// Whether the kernel keeps a patch's module for good, as a transition was forced.
    pub fn is_forced(&self, name: &str) -> bool {
        self.current.module(name).is_some_and(|module| module.is_forced())
    }

    /// What sysfs shows as `enabled`; none if the kernel does not list the patch.
    pub fn is_enabled(&self, name: &str) -> Option<bool> {
        let livepatch = self.livepatch();
        livepatch.patches().iter().find(|module| module.patch.name == name).map(|module| module.enabled.get())
    }

    /// The patch in transition.
    pub fn in_transition(&self) -> Option<String> {
        self.livepatch().in_transition().map(|module| module.patch.name.clone())
    }

    /// Gives an object a shadow variable, as code of the made-up `patch` would; only its address counts.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the patch is not loaded or has no such variable, `EEXIST` if
    /// the object has one, `ENOMEM`.
    pub fn attach(&self, patch: &str, shadow: u64, object: usize) -> Result {
        let module = self.current.module(patch).ok_or(ENOENT)?;
        let variable = module.patch.shadows.iter().find(|other| other.id == shadow).ok_or(ENOENT)?;
        let (machine, obj) = (&self.current.machine, object as *mut c_void);
        if !machine.shadow_get(obj, shadow).is_null() {
            return Err(EEXIST);
        }
        let header = if variable.flags & SHADOW_SLEEPABLE != 0 { SleepableBox::PAYLOAD_OFFSET } else { 0 };
        let gfp = GFP_ATOMIC.raw();
        // SAFETY: The storage is what the runtime itself asks for, and is filled as it does.
        unsafe {
            let mut boxed = ptr::null_mut();
            if header > 0 {
                boxed = machine.kmalloc(header + variable.layout.size, gfp);
                if boxed.is_null() {
                    return Err(ENOMEM);
                }
                boxed.cast::<SleepableBox>().write(SleepableBox { next: ptr::null_mut(), obj });
                boxed.byte_add(header).cast::<u64>().write(trace::INTACT);
            }
            let size = if header > 0 { size_of::<*mut SleepableBox>() } else { variable.layout.size };
            let data = machine.shadow_add(obj, shadow, size, gfp, None, ptr::null_mut(), false);
            if data.is_null() {
                machine.kfree(boxed);
                return Err(ENOMEM);
            }
            if header > 0 {
                data.cast::<*mut c_void>().write(boxed);
            } else {
                data.cast::<u64>().write(trace::INTACT);
            }
        }
        Ok(())
    }

    /// The data of an object's shadow variable, null if it has none: also of the runtime's own.
    pub fn shadow_data(&self, object: usize, id: u64) -> *mut c_void {
        self.current.machine.shadow_get(object as *mut c_void, id)
    }

    /// How many objects have the shadow variable `id`.
    pub fn objects_with(&self, id: u64) -> usize {
        self.current.machine.store.borrow().objects(id).len()
    }

    /// Whether a state is live: some patch provides it.
    pub fn is_live(&self, state: u64) -> bool {
        self.live_states().contains_key(&state)
    }

    /// Whether the code of a patch reaches the shadow variables of one of its states, and the state's data
    /// ([S18](crate::lifecycle#s18)); none if the patch is not loaded, or the state is not in its table.
    pub fn reaches(&self, patch: &str, state: u64) -> Option<(bool, bool)> {
        self.current.module(patch)?.reaches(&self.current.machine, state)
    }

    /// The made-up patch that made the data of a live state.
    pub fn data_made_by(&self, state: u64) -> Option<String> {
        let live = *self.live_states().get(&state)?;
        // SAFETY: The state is live.
        let data = unsafe { (*live).data } as usize;
        self.current.data.borrow().get(&data).map(|(_, maker)| maker.clone())
    }

    /// What happened since the last call of this function or of [`take_calls`](Self::take_calls).
    pub fn take_events(&self) -> Vec<Event> {
        self.current.events.take()
    }

    /// The callbacks of states that were called since, as the lifecycle page
    /// writes them: `a.pre_patch 1`, `b.take_over 1 from 1`; and those of objects: `a.pre_patch vmlinux`.
    pub fn take_calls(&self) -> Vec<String> {
        let is_call = |event: &Event| matches!(event, Event::Call { .. } | Event::Object { .. });
        let calls = self.take_events().into_iter().filter(is_call);
        calls.map(|call| call.to_string()).collect()
    }

    /// The lines that were logged since.
    pub fn take_log(&self) -> Vec<String> {
        self.current.machine.take_log()
    }

    /// What has gone wrong since: see [the list](self#what-is-detected).
    pub fn take_faults(&self) -> Vec<String> {
        self.current.machine.take_faults()
    }

    /// What the engine's structures amount to.
    ///
    /// # Errors
    ///
    /// What is wrong with them; [`take_faults`](Self::take_faults) has said it already.
    pub fn snapshot(&self) -> Result<Snapshot, String> {
        audit::audit(&self.current, self.livepatch().patches())
    }

    /// Checks that nothing is left ([S16](crate::lifecycle#s16)), however many modules are still loaded.
    ///
    /// # Panics
    ///
    /// If a patch is enabled, or if a state, state data, a shadow variable,
    /// memory or a reference on a module is left, or for a fault.
    pub fn assert_clean(&self) {
        let mut faults = self.take_faults();
        faults.extend(self.leaks());
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// What is left, were every patch disabled ([S16](crate::lifecycle#s16)): empty if nothing is. What must
    /// stay, as a transition was forced ([S21](crate::lifecycle#s21)), is not lost.
    pub fn leaks(&self) -> Vec<String> {
        let machine = &self.current.machine;
        let kept = audit::kept(&self.current);
        let mut leaks = Vec::new();
        for module in self.livepatch().patches() {
            leaks.push(format!("patch {} is listed by the kernel", module.patch.name));
        }
        let lost = |id: &u64| !kept.shadows.contains(id);
        for (id, obj) in machine.store.borrow().keys().filter(|(id, _)| lost(id)) {
            leaks.push(format!("object {obj:#x} has shadow variable {id:#x}"));
        }
        leaks.extend(self.live_states().keys().map(|id| format!("state {id} is live")));
        let modules = self.current.modules.borrow();
        for module in modules.values().filter(|module| !module.is_forced()) {
            let references = module.references(machine);
            if references > 0 {
                leaks.push(format!("module {} has {references} references", module.patch.name));
            }
        }
        let of_modules: usize = modules.values().map(|module| module.blocks()).sum();
        let memory = machine.memory.borrow();
        let kept_blocks =
            kept.blocks.iter().filter(|block| memory.is_live(**block as *const c_void, 1)).count();
        let blocks = memory.live().saturating_sub(of_modules + kept_blocks);
        if blocks > 0 {
            leaks.push(format!("{blocks} blocks of memory are not freed"));
        }
        let data = self.current.data.borrow();
        let lost = data.keys().filter(|data| !kept.blocks.contains(data)).count();
        if lost > 0 {
            leaks.push(format!("{lost} state data are not dropped"));
        }
        leaks
    }

    /// None where their table is broken, which is a fault of the step that broke it.
    fn live_states(&self) -> BTreeMap<u64, *mut LiveState> {
        let mut states = audit::live_states(&self.current).unwrap_or_default();
        // SAFETY: The states are live.
        states.retain(|_, live| unsafe { !(**live).claims.is_null() });
        states
    }

    fn livepatch(&self) -> RefMut<'_, Livepatch> {
        self.livepatch
            .try_borrow_mut()
            .expect("a callback must not act on patches: the livepatch mutex is held")
    }

    /// Something that an administrator does; then modules go, and all is looked over.
    fn step<R>(&self, act: impl FnOnce(&mut Livepatch) -> R) -> R {
        let mut livepatch = self.livepatch();
        let result = act(&mut livepatch);
        let machine = &self.current.machine;
        let gone: Vec<String> = self
            .current
            .modules
            .borrow()
            .iter()
            .filter(|(_, module)| module.going.get() && module.references(machine) == 0)
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.current.unload(&name);
        }
        if let Err(fault) = audit::audit(&self.current, livepatch.patches()) {
            machine.fault(fault);
        }
        result
    }
}

impl Default for Sim {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Sim {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sim").field("in_transition", &self.in_transition()).finish_non_exhaustive()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        current::replace(self.outer_current.take());
        host::replace_machine(Rc::clone(&self.outer_machine));
        let faults = self.take_faults();
        if !std::thread::panicking() {
            assert!(faults.is_empty(), "{}", faults.join("\n"));
        }
    }
}
