//! Choices made when a patch is loaded: which of its parts take part.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::{fmt, slice};

use crate::abi::{FuncEntry, PATCH_IDLE, Replace, STATE_BLOCK_DISABLE, ShadowEntry, StateEntry};
use crate::error::{ENOENT, Result};
use crate::native::{NativeEntry, NativeState};
use crate::object::ObjectEntry;
use crate::shadow::OwnsState;
use crate::state::State;

/// One table of a patch. With an init hook a copy, from which entries may be taken.
#[doc(hidden)]
#[repr(C)]
#[derive(Debug)]
pub struct Table<T> {
    pub(crate) entries: *mut T,
    pub(crate) len: usize,
}

impl<T> Table<T> {
    /// The entries.
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: There are as many entries (the invariant of `PatchTables`).
        unsafe { slice::from_raw_parts(self.entries, self.len) }
    }

    /// Where the entries start, and how many there are.
    #[cfg(target_os = "none")]
    pub(crate) const fn raw(&self) -> (*const T, usize) {
        (self.entries, self.len)
    }

    /// The entries, of a copy.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: There are as many entries (the invariant of `PatchTables`); a copy is written to here only.
        unsafe { slice::from_raw_parts_mut(self.entries, self.len) }
    }
}

impl<T: Copy> Table<T> {
    /// Takes out the entries that `keep` is not true of; how many there were.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) -> usize {
        let (mut kept, entries) = (0, self.as_mut_slice());
        let len = entries.len();
        for index in 0..len {
            if keep(&entries[index]) {
                entries[kept] = entries[index];
                kept += 1;
            }
        }
        self.len = kept;
        len - kept
    }
}

/// The tables of a patch, as the glue makes the kernel's structures from them.
///
/// # Invariants
///
/// Each table has as many entries as it says. Where an init hook sees them they
/// are copies in the memory of `block`, else the constants of the module.
#[doc(hidden)]
#[repr(C)]
#[derive(Debug)]
pub struct PatchTables {
    /// [`PATCH_IDLE`] and [`PATCH_ALLOW_DOWNGRADE`](crate::abi::PATCH_ALLOW_DOWNGRADE).
    pub(crate) flags: u32,
    /// Which others the patch replaces.
    pub(crate) replace: Replace,
    /// The line of cumulative patches that it belongs to, null for none ([S20](crate::lifecycle#s20)).
    pub series: *const c_char,
    /// Its number in the series.
    pub revision: u64,
    pub(crate) funcs: Table<FuncEntry>,
    pub(crate) objects: Table<ObjectEntry>,
    pub(crate) natives: Table<NativeEntry>,
    /// The states, in the order of the source.
    pub states: Table<StateEntry>,
    /// The shadow variables.
    pub shadows: Table<ShadowEntry>,
    /// The copies, null if there are none: the glue frees it.
    pub(crate) block: *mut c_void,
}

/// A patch before it is enabled: what the init hook decides on.
///
/// The function with [`#[klp_init]`](macro@crate::klp_init) gets one, in which
/// all that the crate declares takes part. A function, an object or a state that
/// is left out here is as if it had not been written: nothing of it is called,
/// and for other patches this one does not provide the state.
///
/// ```standalone_crate
/// use klp_runtime::prelude::*;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// /// Replaces all other patches.
/// #[klp_param]
/// static REPLACE: Param<bool> = Param::new(false);
///
/// #[klp_init]
/// fn init(patch: &mut PatchSelection<'_>) -> Result {
///     patch.set_replace(REPLACE.get());
///     Ok(())
/// }
/// # fn main() {}
/// ```
pub struct PatchSelection<'a> {
    tables: &'a mut PatchTables,
}

impl PatchSelection<'_> {
    /// Whether the patch replaces all others; at first as `livepatch!` says.
    #[must_use]
    pub fn replace(&self) -> bool {
        self.tables.replace != Replace::NONE
    }

    /// Sets whether the patch replaces all others.
    pub fn set_replace(&mut self, replace: bool) {
        self.tables.replace = Replace::all(replace);
    }

    /// Sets whether the patch is enabled; at first as `livepatch!` says. If not, the module
    /// is loaded and does nothing more: for a kernel that needs no fix, say.
    pub fn set_enabled(&mut self, enabled: bool) {
        let flags = self.tables.flags;
        self.tables.flags = if enabled { flags & !PATCH_IDLE } else { flags | PATCH_IDLE };
    }

    /// Leaves a function of `object` (`c"vmlinux"`, or a module) as it is.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the patch redirects no function of that name there.
    pub fn omit_func(&mut self, object: &CStr, symbol: &CStr) -> Result {
        // SAFETY: The names of entries are strings.
        let is_meant = |func: &FuncEntry| unsafe {
            is_named(func.object, object) && CStr::from_ptr(func.symbol) == symbol
        };
        found(self.tables.funcs.retain(|func| !is_meant(func)))
    }

    /// Leaves an object (`c"vmlinux"`, or a module) as it is: its functions are
    /// not redirected, its callbacks not called.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the patch has no function and no callback there.
    pub fn omit_object(&mut self, object: &CStr) -> Result {
        // SAFETY: The names of entries are strings.
        let funcs = self.tables.funcs.retain(|func| !unsafe { is_named(func.object, object) });
        // SAFETY: The names of entries are strings.
        let objects = self.tables.objects.retain(|entry| !unsafe { is_named(entry.name, object) });
        found(funcs + objects)
    }

    /// One of the states, to change what the patch says of it.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it was left out.
    pub fn state<S: State>(&mut self) -> Result<StateChoice<'_>> {
        let states = self.tables.states.as_mut_slice().iter_mut();
        states.into_iter().find(|state| state.id == S::ID).map(StateChoice).ok_or(ENOENT)
    }

    /// Leaves a state out, with its shadow variables: the patch does not provide it.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it was left out before.
    pub fn omit_state<S: State>(&mut self) -> Result {
        self.omit_state_id(S::ID)
    }

    /// Leaves a shadow variable out, with the state of its own that it has (`#[shadow(id = …)]`). One of a state that is
    /// declared goes with that state.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it was left out before.
    pub fn omit_shadow<T: OwnsState>(&mut self) -> Result {
        self.omit_state_id(T::STATE)
    }

    /// Leaves a state of the kernel's own table out.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it was left out before.
    pub fn omit_native<S: NativeState>(&mut self) -> Result {
        found(self.tables.natives.retain(|native| native.id != S::ID))
    }

    /// The copies of the tables, for klp's own tests: one source is many patches there.
    ///
    /// # Safety
    ///
    /// What is written there is true of the patch: a state's callbacks get data of its layout, and the patch's
    /// code reads the data that it has in the slot.
    #[doc(hidden)]
    pub unsafe fn tables(&mut self) -> &mut PatchTables {
        self.tables
    }

    fn omit_state_id(&mut self, id: u64) -> Result {
        self.tables.shadows.retain(|shadow| shadow.state != id);
        found(self.tables.states.retain(|state| state.id != id))
    }
}

impl fmt::Debug for PatchSelection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatchSelection")
            .field("replace", &self.replace())
            .field("funcs", &self.tables.funcs.as_slice())
            .field("states", &self.tables.states.as_slice())
            .finish_non_exhaustive()
    }
}

/// What a patch says of one of its states: [`PatchSelection::state`].
#[derive(Debug)]
pub struct StateChoice<'a>(&'a mut StateEntry);

impl StateChoice<'_> {
    /// Sets whether the state refuses to be removed ([S13](crate::lifecycle#s13)).
    pub fn set_block_disable(&mut self, block: bool) {
        let flags = self.0.flags;
        self.0.flags = if block { flags | STATE_BLOCK_DISABLE } else { flags & !STATE_BLOCK_DISABLE };
    }

    /// Sets the patch's version of the state: for a patch that stands for several releases, in tests say.
    pub fn set_version(&mut self, version: u32) {
        self.0.version = version;
    }
}

/// `ENOENT` for none.
const fn found(taken: usize) -> Result {
    if taken == 0 { Err(ENOENT) } else { Ok(()) }
}

/// Whether `name`, null for vmlinux, is that of the object.
///
/// # Safety
///
/// `name` is null or a string.
unsafe fn is_named(name: *const c_char, object: &CStr) -> bool {
    if name.is_null() {
        return object == c"vmlinux";
    }
    // SAFETY: A string, as it is not null.
    unsafe { CStr::from_ptr(name) == object }
}

/// The function with `#[klp_init]`, as the table has it.
#[doc(hidden)]
pub type InitHook = unsafe extern "C" fn(*mut PatchTables) -> c_int;

/// The function with `#[klp_exit]`, as the table has it.
#[doc(hidden)]
pub type ExitHook = unsafe extern "C" fn();

/// A hook: what `#[klp_init]` and `#[klp_exit]` leave in the section `klp_hooks`.
#[doc(hidden)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HookEntry {
    /// Called before the patch is enabled.
    pub init: Option<InitHook>,
    /// Called before the module goes.
    pub exit: Option<ExitHook>,
}

/// The function with `#[klp_init]`: implemented for the patch, so there is one at most.
#[doc(hidden)]
pub trait InitHookWrittenTwice {
    fn init(patch: &mut PatchSelection<'_>) -> Result;
}

/// The function with `#[klp_exit]`.
#[doc(hidden)]
pub trait ExitHookWrittenTwice {
    fn exit();
}

impl HookEntry {
    /// The entry of `#[klp_init]`.
    #[doc(hidden)]
    #[must_use]
    pub const fn init<P: InitHookWrittenTwice>() -> Self {
        Self { init: crate::__callback!(init::<P>), exit: None }
    }

    /// The entry of `#[klp_exit]`.
    #[doc(hidden)]
    #[must_use]
    pub const fn exit<P: ExitHookWrittenTwice>() -> Self {
        Self { init: None, exit: crate::__callback!(exit::<P>) }
    }
}

/// Calls `P::init`.
unsafe extern "C" fn init<P: InitHookWrittenTwice>(tables: *mut PatchTables) -> c_int {
    // SAFETY: The runtime passes copies of the patch's tables, and looks at them afterwards only.
    match P::init(&mut PatchSelection { tables: unsafe { &mut *tables } }) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// Calls `P::exit`.
unsafe extern "C" fn exit<P: ExitHookWrittenTwice>() {
    P::exit();
}
