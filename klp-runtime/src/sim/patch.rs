//! Patches for the model: those of crates, and those made up at run time.

use core::ffi::CStr;
use core::fmt;
use std::ffi::CString;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

use crate::abi::{
    ABI_VERSION, DataLayout, PATCH_REPLACE, RESERVED_STATE_ID, SHADOW_SLEEPABLE, STATE_BLOCK_DISABLE,
    ShadowEntry, StateEntry,
};
use crate::error::Result;
use crate::tables::Tables;

/// A patch that the model can load.
///
/// That of a crate is made from what its function `livepatch` returns; one made
/// up for a test is put together here: `Patch::new("a").state(State::new(1)).replace()`.
#[derive(Clone, Debug)]
pub struct Patch {
    pub(super) name: String,
    pub(super) is_c: bool,
    pub(super) abi_version: u32,
    pub(super) replace: bool,
    pub(super) states: Vec<State>,
    pub(super) shadows: Vec<Shadow>,
    pub(super) objects: Vec<String>,
    pub(super) native: Vec<(u64, u32)>,
}

impl Patch {
    /// A patch without anything, that does not replace.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            is_c: false,
            abi_version: ABI_VERSION,
            replace: false,
            states: Vec::new(),
            shadows: Vec::new(),
            objects: Vec::new(),
            native: Vec::new(),
        }
    }

    /// A livepatch in C, which knows nothing of states and shadow variables of ours (S14).
    #[must_use]
    pub fn c(name: &str) -> Self {
        Self { is_c: true, ..Self::new(name) }
    }

    /// The patch replaces all others.
    #[must_use]
    pub fn replace(mut self) -> Self {
        self.replace = true;
        self
    }

    /// Adds a state at the end of the table.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.states.push(state);
        self
    }

    /// Adds a shadow variable at the end of the table.
    #[must_use]
    pub fn shadow(mut self, shadow: Shadow) -> Self {
        self.shadows.push(shadow);
        self
    }

    /// The patch redirects functions of the module `name`.
    #[must_use]
    pub fn object(mut self, name: &str) -> Self {
        self.objects.push(name.to_string());
        self
    }

    /// Lists a state in the kernel's own table, `klp_patch.states`.
    #[must_use]
    pub fn native_state(mut self, id: u64, version: u32) -> Self {
        self.native.push((id, version));
        self
    }

    /// The patch is built for another version of the tables ([`crate::abi`]).
    #[must_use]
    pub fn abi_version(mut self, version: u32) -> Self {
        self.abi_version = version;
        self
    }

    /// The module's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the patch has what the engine runs for, as the build tool decides it.
    pub(super) fn needs_engine(&self) -> bool {
        !self.is_c && (self.replace || !self.states.is_empty() || !self.shadows.is_empty())
    }

    /// The kernel's own table of states: the reserved entry where the engine runs (S14).
    pub(super) fn native_states(&self) -> Vec<(u64, u32)> {
        let reserved = self.needs_engine().then_some((RESERVED_STATE_ID, self.abi_version));
        reserved.into_iter().chain(self.native.iter().copied()).collect()
    }

    /// The modules that the patch has an object for, each once, as the glue lists them.
    pub(super) fn modules(&self) -> Vec<String> {
        let of_shadows = self.shadows.iter().filter_map(|shadow| shadow.object.as_ref()?.to_str().ok());
        let mut modules: Vec<String> = Vec::new();
        for module in self.objects.iter().map(String::as_str).chain(of_shadows) {
            if !modules.iter().any(|listed| listed == module) {
                modules.push(module.to_string());
            }
        }
        modules
    }
}

impl From<Tables> for Patch {
    fn from(tables: Tables) -> Self {
        let mut patch = Self::new(&tables.name.to_string_lossy());
        patch.replace = tables.patch.flags & PATCH_REPLACE != 0;
        patch.abi_version = tables.patch.abi_version;
        // The order of the source, as in a module; of several files by their names.
        let mut states: Vec<_> = tables.states.iter().collect();
        states.sort_by_key(|entry| (entry.position.file(), entry.position.line(), entry.position.column()));
        patch.states = states.into_iter().map(State::of_entry).collect();
        patch.shadows = tables.shadows.iter().map(Shadow::of_entry).collect();
        for func in tables.funcs {
            // SAFETY: Null or a constant string of the crate.
            if let Some(object) = unsafe { optional(func.object) } {
                patch = patch.object(&object.to_string_lossy());
            }
        }
        patch
    }
}

/// Copies a string that may be null.
unsafe fn optional(string: *const core::ffi::c_char) -> Option<CString> {
    // SAFETY: By contract of the caller.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) }.into())
}

/// A callback of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Callback {
    /// `pre_patch`.
    PrePatch,
    /// `post_patch`.
    PostPatch,
    /// `pre_unpatch`.
    PreUnpatch,
    /// `post_unpatch`.
    PostUnpatch,
    /// `take_over`, from this version.
    TakeOver(u32),
}

impl fmt::Display for Callback {
    /// As the lifecycle page abbreviates it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrePatch => "pre",
            Self::PostPatch => "post",
            Self::PreUnpatch => "unpre",
            Self::PostUnpatch => "unpost",
            Self::TakeOver(_) => "take_over",
        })
    }
}

/// What a made-up state does in its callbacks.
pub(super) type Action = Rc<dyn Fn(Callback) -> Result>;

/// Where a state's callbacks are.
#[derive(Clone)]
pub(super) enum Source {
    /// In a crate.
    Crate(&'static StateEntry),
    /// In the model, with what the test has to add.
    Model(Option<Action>),
}

/// A state of a made-up patch. It has all callbacks, which the model records,
/// and data, which the model watches.
#[derive(Clone)]
pub struct State {
    pub(super) id: u64,
    pub(super) version: u32,
    pub(super) flags: u32,
    pub(super) name: CString,
    pub(super) layout: DataLayout,
    pub(super) source: Source,
}

impl State {
    /// Version 1 of the state `id`, named `stateID`.
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self {
            id,
            version: 1,
            flags: 0,
            name: text(&std::format!("state{id}")),
            layout: DataLayout { size: 8, align: 8, fingerprint: 1 },
            source: Source::Model(None),
        }
    }

    fn of_entry(entry: &'static StateEntry) -> Self {
        Self {
            id: entry.id,
            version: entry.version,
            flags: entry.flags,
            // SAFETY: The name is a constant string of the crate.
            name: unsafe { optional(entry.name) }.unwrap_or_default(),
            layout: entry.layout,
            source: Source::Crate(entry),
        }
    }

    /// Another version.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Another name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = text(name);
        self
    }

    /// The state refuses to be removed (S13).
    #[must_use]
    pub fn block_disable(mut self) -> Self {
        self.flags |= STATE_BLOCK_DISABLE;
        self
    }

    /// The state's data have another layout. The size is 8 at least.
    #[must_use]
    pub fn layout(mut self, layout: DataLayout) -> Self {
        self.layout = layout;
        self
    }

    /// Runs `action` in each of the state's callbacks. Its result counts in `pre_patch` only.
    #[must_use]
    pub fn on(mut self, action: impl Fn(Callback) -> Result + 'static) -> Self {
        self.source = Source::Model(Some(Rc::new(action)));
        self
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("id", &self.id).field("version", &self.version).finish_non_exhaustive()
    }
}

/// A shadow variable of a made-up patch; [`Sim::attach`](super::Sim::attach)
/// gives one to an object.
#[derive(Clone, Debug)]
pub struct Shadow {
    pub(super) id: u64,
    pub(super) state: u64,
    pub(super) flags: u32,
    pub(super) name: CString,
    pub(super) of: CString,
    pub(super) object: Option<CString>,
    pub(super) layout: DataLayout,
    pub(super) entry: Option<&'static ShadowEntry>,
}

impl Shadow {
    /// The variable `id`, which lives as long as `state`, named `shadowID`.
    #[must_use]
    pub fn new(id: u64, state: u64) -> Self {
        Self {
            id,
            state,
            flags: 0,
            name: text(&std::format!("shadow{id}")),
            of: text("object"),
            object: None,
            layout: DataLayout { size: 8, align: 8, fingerprint: 1 },
            entry: None,
        }
    }

    fn of_entry(entry: &'static ShadowEntry) -> Self {
        // SAFETY: The strings are constants of the crate.
        unsafe {
            Self {
                id: entry.id,
                state: entry.state,
                flags: entry.flags,
                name: optional(entry.name).unwrap_or_default(),
                of: optional(entry.of).unwrap_or_default(),
                object: optional(entry.object),
                layout: entry.layout,
                entry: Some(entry),
            }
        }
    }

    /// The destructor may sleep (S9).
    #[must_use]
    pub fn sleepable(mut self) -> Self {
        self.flags |= SHADOW_SLEEPABLE;
        self
    }

    /// The variables go also with the module `name` (S9).
    #[must_use]
    pub fn object(mut self, name: &str) -> Self {
        self.object = Some(text(name));
        self
    }

    /// The variable has another layout. The size is 8 at least.
    #[must_use]
    pub fn layout(mut self, layout: DataLayout) -> Self {
        self.layout = layout;
        self
    }
}

/// A C string of what has no NUL in it.
pub(super) fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
