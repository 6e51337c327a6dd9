//! Objects: vmlinux or a module, with the kernel's own callbacks.

use core::ffi::{CStr, c_char, c_int};
use core::marker::PhantomData;
use core::{fmt, ptr};

use crate::error::Result;
use crate::module::sys;

/// A part of the kernel that a patch changes, vmlinux or a module, and the patch's callbacks for it.
///
/// Implement it with [`#[klp_object(name = …)]`](macro@crate::klp_object) on the
/// `impl` block. Only the methods that are written become callbacks, and the
/// object takes part in the patch even if none of its functions is redirected.
///
/// These are the kernel's own callbacks, with the kernel's own meaning (`Documentation/livepatch/callbacks.rst`):
/// they are called each time that the patch is enabled or disabled while the object is loaded, and each time that the
/// object is loaded or unloaded while the patch is enabled. The kernel calls no callback of a patch that is replaced.
/// A change that outlives a patch belongs in a [`State`](crate::state::State).
///
/// All run in process context and may sleep. The kernel's livepatch mutex is
/// held: they must not enable or disable patches, load or unload modules
/// (`request_module`, also inside what they call), or wait for a task that
/// does, or every later load of a module hangs. A callback for vmlinux that has
/// not returned after five seconds is named in the log where the patch has
/// states, shadow variables or a series, or replaces others.
///
/// With states in the same patch, `pre_patch` and `post_patch` of vmlinux come
/// after those of the states, `pre_unpatch` and `post_unpatch` before them. The
/// callbacks of modules come after those of vmlinux.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an object",
    label = "not an object",
    note = "write `#[klp_object(name = \"…\")]` above `impl Object for {Self} {{ … }}`"
)]
pub trait Object: DeclaredObject {
    /// The module's name; `None` for vmlinux.
    const NAME: Option<&'static CStr> = Self::__NAME;

    /// None of the object's functions is redirected yet.
    ///
    /// # Errors
    ///
    /// With an error the patch is not enabled, or the module is not loaded, and
    /// [`post_unpatch`](Self::post_unpatch) is not called.
    fn pre_patch(object: &ObjectContext<'_>) -> Result {
        let _ = object;
        Ok(())
    }

    /// Every task runs the new code, or the module is about to start.
    fn post_patch(object: &ObjectContext<'_>) {
        let _ = object;
    }

    /// Every task still runs the new code, or the module has just ended.
    fn pre_unpatch(object: &ObjectContext<'_>) {
        let _ = object;
    }

    /// None of the object's functions is redirected any more, and no task runs
    /// the new code. Also called where enabling failed after a `pre_patch` that succeeded.
    fn post_unpatch(object: &ObjectContext<'_>) {
        let _ = object;
    }
}

/// What [`#[klp_object]`](macro@crate::klp_object) says of an object; apart from [`Object`], so that an `impl
/// Object` without the attribute is an error that says so.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`#[klp_object]` is missing above `impl Object for {Self}`",
    label = "an object without a name",
    note = "write `#[klp_object(name = \"…\")]` above the `impl`"
)]
pub trait DeclaredObject: 'static {
    const __NAME: Option<&'static CStr>;
}

/// The state of a module, as the kernel's `enum module_state` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleState {
    /// Its init function has returned.
    Live,
    /// It is about to run its init function, or runs it.
    Coming,
    /// It runs its exit function, or has run it.
    Going,
    /// It is being set up.
    Unformed,
}

/// The object that a callback is called for: the kernel's `struct klp_object`.
pub struct ObjectContext<'a> {
    object: *mut klp_object,
    marker: PhantomData<&'a ()>,
}

impl ObjectContext<'_> {
    /// The module's name; `None` for vmlinux.
    #[must_use]
    pub fn name(&self) -> Option<&CStr> {
        // SAFETY: The object is the kernel's, as long as the call.
        let name = unsafe { sys::klp_glue_object_name(self.object.cast()) };
        // SAFETY: Null, or a string that lives as long as the patch.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
    }

    /// The state of the module; `None` for vmlinux.
    #[must_use]
    pub fn module_state(&self) -> Option<ModuleState> {
        // SAFETY: The object is the kernel's, as long as the call.
        match unsafe { sys::klp_glue_object_state(self.object.cast()) } {
            0 => Some(ModuleState::Live),
            1 => Some(ModuleState::Coming),
            2 => Some(ModuleState::Going),
            3 => Some(ModuleState::Unformed),
            _ => None,
        }
    }
}

impl fmt::Debug for ObjectContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectContext")
            .field("name", &self.name())
            .field("module_state", &self.module_state())
            .finish()
    }
}

/// The kernel's structure. Kernels that check calls by pointer (kCFI) know a function's type by the names in it.
#[doc(hidden)]
#[repr(C)]
#[derive(Debug)]
pub struct klp_object([u8; 0]);

/// `pre_patch` of the kernel's `struct klp_callbacks`.
#[doc(hidden)]
pub type FallibleObjectCallback = unsafe extern "C" fn(*mut klp_object) -> c_int;

/// The other callbacks of the kernel's `struct klp_callbacks`.
#[doc(hidden)]
pub type ObjectCallback = unsafe extern "C" fn(*mut klp_object);

/// One object with callbacks: what `#[klp_object]` leaves in the section `klp_objects`.
#[doc(hidden)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ObjectEntry {
    /// The module's name; null for vmlinux.
    pub name: *const c_char,
    /// [`Object::pre_patch`].
    pub pre_patch: Option<FallibleObjectCallback>,
    /// [`Object::post_patch`].
    pub post_patch: Option<ObjectCallback>,
    /// [`Object::pre_unpatch`].
    pub pre_unpatch: Option<ObjectCallback>,
    /// [`Object::post_unpatch`].
    pub post_unpatch: Option<ObjectCallback>,
    /// Where the object stands in the source, as for states.
    #[cfg(not(target_os = "none"))]
    pub position: &'static core::panic::Location<'static>,
}

// SAFETY: The pointers are to constants, never written through.
unsafe impl Sync for ObjectEntry {}

impl ObjectEntry {
    /// The entry of `O`, without callbacks.
    #[doc(hidden)]
    #[must_use]
    #[track_caller]
    pub const fn of<O: Object>() -> Self {
        Self {
            name: match O::NAME {
                Some(name) => name.as_ptr(),
                None => ptr::null(),
            },
            pre_patch: None,
            post_patch: None,
            pre_unpatch: None,
            post_unpatch: None,
            #[cfg(not(target_os = "none"))]
            position: core::panic::Location::caller(),
        }
    }
}

/// Calls `O::pre_patch`.
///
/// # Safety
///
/// The kernel calls it, with a `struct klp_object`.
#[doc(hidden)]
pub unsafe extern "C" fn object_pre_patch<O: Object>(object: *mut klp_object) -> c_int {
    match O::pre_patch(&ObjectContext { object, marker: PhantomData }) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

macro_rules! trampoline {
    ($name:ident, $method:ident) => {
        #[doc = concat!("Calls `O::", stringify!($method), "`.")]
        ///
        /// # Safety
        ///
        /// The kernel calls it, with a `struct klp_object`.
        #[doc(hidden)]
        pub unsafe extern "C" fn $name<O: Object>(object: *mut klp_object) {
            O::$method(&ObjectContext { object, marker: PhantomData });
        }
    };
}

trampoline!(object_post_patch, post_patch);
trampoline!(object_pre_unpatch, pre_unpatch);
trampoline!(object_post_unpatch, post_unpatch);
