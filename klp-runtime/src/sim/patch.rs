//! Patches for the model: those of crates, and those made up at run time.

use core::ffi::CStr;
use core::fmt;
use core::panic::Location;
use std::ffi::CString;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

use super::object::Object;
use crate::abi::{
    ABI_VERSION, DataLayout, PATCH_IDLE, Replace, SHADOW_SLEEPABLE, STATE_BLOCK_DISABLE, ShadowEntry,
    StateEntry,
};
use crate::error::Result;
use crate::module::selection::{ExitHook, InitHook, PatchTables};
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
    pub(super) series: Option<CString>,
    pub(super) revision: u64,
    pub(super) allows_downgrade: bool,
    pub(super) runs_on_its_own: bool,
    pub(super) states: Vec<State>,
    pub(super) shadows: Vec<Shadow>,
    pub(super) objects: Vec<String>,
    pub(super) native: Vec<(u64, u32)>,
    pub(super) own_objects: Vec<Object>,
    pub(super) is_idle: bool,
    init: Option<(Tables, InitHook)>,
    pub(super) exit: Option<ExitHook>,
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
            series: None,
            revision: 0,
            allows_downgrade: false,
            runs_on_its_own: false,
            states: Vec::new(),
            shadows: Vec::new(),
            objects: Vec::new(),
            native: Vec::new(),
            own_objects: Vec::new(),
            is_idle: false,
            init: None,
            exit: None,
        }
    }

    /// A livepatch in C, which knows nothing of states and shadow variables of ours
    /// ([S14](crate::lifecycle#s14)).
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

    /// The patch is revision `revision` of a series ([S20](crate::lifecycle#s20)).
    #[must_use]
    pub fn series(mut self, series: &str, revision: u64) -> Self {
        self.series = Some(text(series));
        self.revision = revision;
        self
    }

    /// It may replace a higher revision of its series ([S20](crate::lifecycle#s20)): the module parameter
    /// `klp_allow_downgrade`.
    #[must_use]
    pub fn allow_downgrade(mut self) -> Self {
        self.allows_downgrade = true;
        self
    }

    /// Something of the patch runs on its own, whose end is an event ([S17](crate::lifecycle#s17)). A crate's
    /// tables do not tell: say it of those that schedule works or make directories of sysfs.
    #[must_use]
    pub fn runs_on_its_own(mut self) -> Self {
        self.runs_on_its_own = true;
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

    /// Adds an object with callbacks.
    #[must_use]
    pub fn callbacks(mut self, object: Object) -> Self {
        self.own_objects.push(object);
        self
    }

    /// Lists a state in the kernel's own table, `klp_patch.states`.
    #[must_use]
    pub fn native_state(mut self, id: u64, version: u32) -> Self {
        self.native.push((id, version));
        self
    }

    /// The patch is built for another version of the tables ([`crate::abi`]). The entries of a later
    /// one are longer ([S23](crate::lifecycle#s23)).
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
        !self.is_c && (self.replace || self.has_something_to_lose())
    }

    /// Whether the patch has what keeps it on the list once it is enabled ([S14](crate::lifecycle#s14)).
    pub(super) fn has_something_to_lose(&self) -> bool {
        !self.states.is_empty() || !self.shadows.is_empty() || self.series.is_some() || self.runs_on_its_own
    }

    /// The size that a structure of the tables has in the patch's runtime: a later one has added to it
    /// ([S23](crate::lifecycle#s23)).
    pub(super) fn size_of<T>(&self) -> usize {
        size_of::<T>() + if self.abi_version > ABI_VERSION { 16 } else { 0 }
    }

    /// The objects of the patch, each once, as the glue lists them: none stands for vmlinux.
    pub(super) fn object_names(&self) -> Vec<Option<String>> {
        let of_shadows = self.shadows.iter().filter_map(|shadow| shadow.object.as_ref()?.to_str().ok());
        let vmlinux = self.needs_engine().then_some(None);
        let own = self.own_objects.iter().map(Object::name);
        let modules = self.objects.iter().map(String::as_str).chain(of_shadows);
        let mut names: Vec<Option<String>> = Vec::new();
        for name in vmlinux.into_iter().chain(own).chain(modules.map(|name| Some(name.to_string()))) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            names.push(None);
        }
        names
    }

    /// Takes the parts that take part from a crate's tables.
    fn fill(&mut self, tables: &PatchTables) {
        self.replace = tables.replace != Replace::NONE;
        // SAFETY: Null or a constant string of the crate.
        self.series = unsafe { optional(tables.series) };
        self.revision = tables.revision;
        self.is_idle = tables.flags & PATCH_IDLE != 0;
        // The order of the source, as in a module; of several files by their names.
        let mut states = tables.states.as_slice().to_vec();
        states.sort_by_key(|entry| place(entry.position));
        self.states = states.into_iter().map(State::of_entry).collect();
        self.shadows = tables.shadows.as_slice().iter().copied().map(Shadow::of_entry).collect();
        let mut objects = tables.objects.as_slice().to_vec();
        objects.sort_by_key(|entry| place(entry.position));
        self.own_objects = objects.into_iter().map(Object::of_entry).collect();
        self.native = tables.natives.as_slice().iter().map(|native| (native.id, native.version)).collect();
        // SAFETY: Null or a constant string of the crate.
        let modules = tables.funcs.as_slice().iter().filter_map(|func| unsafe { optional(func.object) });
        self.objects = modules.map(|name| name.to_string_lossy().into_owned()).collect();
    }

    /// What is loaded: without what the init hook leaves out.
    ///
    /// # Errors
    ///
    /// What the hook fails with.
    pub(super) fn choose(mut self) -> Result<Self> {
        if let Some((tables, hook)) = self.init {
            let mut chosen = PatchTables::of(&tables);
            // SAFETY: The tables and the hook are those of one crate.
            unsafe {
                let result = chosen.choose(hook);
                if result.is_ok() {
                    self.fill(&chosen);
                }
                chosen.free();
                result?;
            }
        }
        Ok(self)
    }
}

impl From<Tables> for Patch {
    fn from(tables: Tables) -> Self {
        let mut patch = Self::new(&tables.name.to_string_lossy());
        patch.abi_version = tables.patch.abi_version;
        patch.fill(&PatchTables::of(&tables));
        patch.init = tables.hooks.iter().find_map(|hook| hook.init).map(|hook| (tables, hook));
        patch.exit = tables.hooks.iter().find_map(|hook| hook.exit);
        patch
    }
}

/// What an item's place in the source is sorted by.
fn place(position: &'static Location<'static>) -> (&'static str, u32, u32) {
    (position.file(), position.line(), position.column())
}

/// Copies a string.
///
/// # Safety
///
/// `string` is null or a string.
unsafe fn optional(string: *const core::ffi::c_char) -> Option<CString> {
    // SAFETY: A string, as it is not null.
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
    /// `migrate`.
    Migrate,
}

impl fmt::Display for Callback {
    /// As the lifecycle page abbreviates it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrePatch => "pre_patch",
            Self::PostPatch => "post_patch",
            Self::PreUnpatch => "pre_unpatch",
            Self::PostUnpatch => "post_unpatch",
            Self::TakeOver(_) => "take_over",
            Self::Migrate => "migrate",
        })
    }
}

/// What a made-up state does in its callbacks.
pub(super) type Action = Rc<dyn Fn(Callback) -> Result>;

/// Where a state's callbacks are.
#[derive(Clone)]
pub(super) enum Source {
    /// In a crate.
    Crate(StateEntry),
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
    pub(super) from: Option<(u32, DataLayout)>,
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
            from: None,
            source: Source::Model(None),
        }
    }

    fn of_entry(entry: StateEntry) -> Self {
        Self {
            id: entry.id,
            version: entry.version,
            flags: entry.flags,
            // SAFETY: The name is a constant string of the crate.
            name: unsafe { optional(entry.name) }.unwrap_or_default(),
            layout: entry.layout,
            from: entry.from.migrate.map(|_| (entry.from.version, entry.from.layout)),
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

    /// The state refuses to be removed ([S13](crate::lifecycle#s13)).
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

    /// The state has `migrate`, which makes its data of those that `version` has in another layout
    /// ([S22](crate::lifecycle#s22)).
    #[must_use]
    pub fn migrates_from(mut self, version: u32, layout: DataLayout) -> Self {
        self.from = Some((version, layout));
        self
    }

    /// Runs `action` in each of the state's callbacks. Its result counts in `pre_patch` and `migrate` only.
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
    pub(super) entry: Option<ShadowEntry>,
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

    fn of_entry(entry: ShadowEntry) -> Self {
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

    /// The destructor may sleep ([S9](crate::lifecycle#s9)).
    #[must_use]
    pub fn sleepable(mut self) -> Self {
        self.flags |= SHADOW_SLEEPABLE;
        self
    }

    /// The variables go also with the module `name` ([S9](crate::lifecycle#s9)).
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
