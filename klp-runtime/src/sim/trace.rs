//! What the model sees of a patch's code: the callbacks in the tables of a
//! loaded module are these, which record the call and pass it on.

use core::ffi::{c_int, c_void};
use core::fmt;
use std::format;
use std::string::String;

use super::current::{Current, current};
use super::patch::{Callback, Source};
use crate::abi::{PatchNode, RawStateContext, SHADOW_SLEEPABLE, StateEntry};
use crate::error::EINVAL;

/// Something that a patch's code did, or had done to what it owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A callback of a state was called.
    Call {
        /// The patch whose implementation it was.
        patch: String,
        /// Which.
        callback: Callback,
        /// The state's id.
        state: u64,
    },
    /// A callback of an object was called.
    Object {
        /// The patch whose implementation it was.
        patch: String,
        /// Which.
        callback: Callback,
        /// `vmlinux`, or the module's name.
        object: String,
    },
    /// What runs on its own in a patch was stopped ([S17](crate::lifecycle#s17)).
    Stopped {
        /// The patch.
        patch: String,
    },
    /// The data of a state of a made-up patch were dropped.
    Dropped {
        /// The state's id.
        state: u64,
    },
    /// A destructor of a shadow variable ran, called by the runtime.
    Destroyed {
        /// The patch whose implementation it was.
        patch: String,
        /// The variable's name.
        shadow: String,
        /// The object's address.
        object: usize,
    },
}

impl fmt::Display for Event {
    /// As the lifecycle page writes it: `a.pre_patch 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { patch, callback: callback @ Callback::TakeOver(from), state } => {
                write!(f, "{patch}.{callback} {state} from {from}")
            }
            Self::Object { patch, callback, object } => write!(f, "{patch}.{callback} {object}"),
            Self::Call { patch, callback, state } => write!(f, "{patch}.{callback} {state}"),
            Self::Stopped { patch } => write!(f, "{patch}.stop"),
            Self::Dropped { state } => write!(f, "drop {state}"),
            Self::Destroyed { patch, shadow, object } => write!(f, "{patch}.destroy {shadow} of {object:#x}"),
        }
    }
}

/// What the data of a made-up state hold; its shadow variables, too.
pub(super) const INTACT: u64 = 0x6461_7461_206f_6b21;

/// Puts the callbacks of this module into an entry that is copied from `source`.
pub(super) fn trace(entry: &mut StateEntry, source: &Source) {
    match source {
        Source::Crate(original) => {
            entry.pre_patch = original.pre_patch.map(|_| pre_patch as _);
            entry.post_patch = original.post_patch.map(|_| post_patch as _);
            entry.pre_unpatch = original.pre_unpatch.map(|_| pre_unpatch as _);
            entry.post_unpatch = original.post_unpatch.map(|_| post_unpatch as _);
            entry.take_over = original.take_over.map(|_| take_over as _);
            entry.drop_data = original.drop_data;
        }
        Source::Model(_) => {
            entry.pre_patch = Some(pre_patch);
            entry.post_patch = Some(post_patch);
            entry.pre_unpatch = Some(pre_unpatch);
            entry.post_unpatch = Some(post_unpatch);
            entry.take_over = Some(take_over);
            entry.drop_data = Some(drop_data);
        }
    }
}

unsafe extern "C" fn pre_patch(cx: *const RawStateContext, data: *mut c_void) -> c_int {
    let model = current();
    // SAFETY: The engine passes a context that lives as long as the call.
    let Some((patch, state)) = model.enter(unsafe { (*cx).state }, Callback::PrePatch) else {
        return EINVAL.to_errno();
    };
    if let Some(error) = model.failing.borrow_mut().remove(&(patch.clone(), state.id)) {
        return error.to_errno();
    }
    match state.source {
        Source::Crate(entry) => {
            // SAFETY: The arguments are handed on.
            let call = || entry.pre_patch.map_or(0, |original| unsafe { original(cx, data) });
            model.run(&patch, call)
        }
        Source::Model(action) => {
            if let Some(Err(error)) = action.map(|action| action(Callback::PrePatch)) {
                return error.to_errno();
            }
            model.put_data(data, state.id, patch);
            0
        }
    }
}

pub(super) unsafe extern "C" fn migrate(
    cx: *const RawStateContext,
    old: *const c_void,
    new: *mut c_void,
) -> c_int {
    let model = current();
    // SAFETY: The engine passes a context that lives as long as the call.
    let Some((patch, state)) = model.enter(unsafe { (*cx).state }, Callback::Migrate) else {
        return EINVAL.to_errno();
    };
    if let Some(error) = model.failing.borrow_mut().remove(&(patch.clone(), state.id)) {
        return error.to_errno();
    }
    match state.source {
        Source::Crate(entry) => {
            // SAFETY: The arguments are handed on.
            let call = || entry.from.migrate.map_or(0, |original| unsafe { original(cx, old, new) });
            model.run(&patch, call)
        }
        Source::Model(action) => {
            model.look_at_data(Callback::Migrate, state.id, old);
            if let Some(Err(error)) = action.map(|action| action(Callback::Migrate)) {
                return error.to_errno();
            }
            model.put_data(new, state.id, patch);
            0
        }
    }
}

/// Stops what runs on its own in a patch ([S17](crate::lifecycle#s17)).
pub(super) unsafe extern "C" fn stop(node: *mut PatchNode) {
    let model = current();
    let module = model.modules.borrow().values().find(|loaded| loaded.node == node).cloned();
    match module {
        Some(module) => {
            model.machine.stop(module.owner);
            model.event(Event::Stopped { patch: module.patch.name.clone() });
        }
        None => model.machine.fault("a patch was stopped that is not loaded"),
    }
}

macro_rules! callback {
    ($name:ident, $callback:ident) => {
        unsafe extern "C" fn $name(cx: *const RawStateContext, data: *mut c_void) {
            // SAFETY: The engine passes a context that lives as long as the call, and the state's data.
            unsafe {
                call(cx, data, Callback::$callback, |entry| {
                    if let Some(original) = entry.$name {
                        original(cx, data)
                    }
                })
            }
        }
    };
}

callback!(post_patch, PostPatch);
callback!(pre_unpatch, PreUnpatch);
callback!(post_unpatch, PostUnpatch);

unsafe extern "C" fn take_over(cx: *const RawStateContext, data: *mut c_void, from: u32) {
    // SAFETY: The engine passes a context that lives as long as the call, and the state's data.
    unsafe {
        call(cx, data, Callback::TakeOver(from), |entry| {
            if let Some(original) = entry.take_over {
                original(cx, data, from)
            }
        })
    }
}

unsafe fn call(
    cx: *const RawStateContext,
    data: *mut c_void,
    callback: Callback,
    original: impl FnOnce(&StateEntry),
) {
    let model = current();
    // SAFETY: The caller passes the engine's context.
    let Some((patch, state)) = model.enter(unsafe { (*cx).state }, callback) else { return };
    match state.source {
        Source::Crate(entry) => model.run(&patch, || original(&entry)),
        Source::Model(action) => {
            model.look_at_data(callback, state.id, data);
            if let Some(action) = action {
                // Only a `pre_patch` may fail.
                let _ = action(callback);
            }
        }
    }
}

unsafe extern "C" fn drop_data(data: *mut c_void) {
    let model = current();
    let dropped = model.data.borrow_mut().remove(&(data as usize));
    match dropped {
        Some((state, _)) => {
            // SAFETY: The data were made, and have 8 bytes at least.
            unsafe { data.cast::<u64>().write(0) };
            model.event(Event::Dropped { state });
        }
        None => model.machine.fault("state data were dropped twice, or never made"),
    }
}

/// The destructor in the tables, called by the runtime for the variables of one entry.
pub(super) unsafe extern "C" fn destroy(obj: *mut c_void, data: *mut c_void) {
    let model = current();
    let Some((patch, shadow)) = model.shadow_of(model.freeing.get()) else {
        return model.machine.fault("a destructor of a module that is not loaded was called");
    };
    let name = shadow.name.to_string_lossy().into_owned();
    if shadow.flags & SHADOW_SLEEPABLE != 0 && model.machine.is_atomic() {
        model.machine.fault(format!("the sleepable destructor of {name} ran under the kernel's shadow lock"));
    }
    model.event(Event::Destroyed { patch, shadow: name.clone(), object: obj as usize });
    match shadow.entry {
        Some(entry) => {
            if let Some(original) = entry.destroy {
                // SAFETY: The arguments are handed on.
                unsafe { original(obj, data) }
            }
        }
        None => {
            // SAFETY: A made-up variable has 8 bytes at least.
            if unsafe { data.cast::<u64>().replace(0) } != INTACT {
                model.machine.fault(format!("the destructor of {name} ran without its data"));
            }
        }
    }
}

impl Current {
    /// Makes the data of a made-up state.
    fn put_data(&self, data: *mut c_void, state: u64, maker: String) {
        // SAFETY: The data have 8 bytes at least.
        unsafe { data.cast::<u64>().write(INTACT) };
        self.data.borrow_mut().insert(data as usize, (state, maker));
    }

    /// Whether the data that a callback of a made-up state gets were made and not dropped.
    fn look_at_data(&self, callback: Callback, state: u64, data: *const c_void) {
        let intact = match self.data.borrow().get(&(data as usize)) {
            // SAFETY: The data were made and not dropped, and have 8 bytes at least.
            Some((id, _)) => *id == state && unsafe { data.cast::<u64>().read() } == INTACT,
            None => false,
        };
        if !intact {
            self.machine.fault(format!("{callback} of state {state} was called without its data"));
        }
    }

    /// Records a call; the patch and the state that are called.
    fn enter(&self, entry: *const StateEntry, callback: Callback) -> Option<(String, super::patch::State)> {
        let Some((patch, state)) = self.state_of(entry as usize) else {
            self.machine.fault(format!("{callback} of a module that is not loaded was called"));
            return None;
        };
        if self.machine.is_atomic() {
            self.machine.fault(format!("{callback} of state {} was called in atomic context", state.id));
        }
        self.event(Event::Call { patch: patch.clone(), callback, state: state.id });
        Some((patch, state))
    }
}
