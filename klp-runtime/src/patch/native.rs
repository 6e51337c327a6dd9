//! States of the kernel's own table, `klp_patch.states`, for those who share them with C patches.

use core::ffi::{c_uint, c_ulong, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::module::sys;
use crate::object::ObjectContext;

/// A state in the kernel's own table (`Documentation/livepatch/system-state.rst`).
///
/// Declared with [`#[klp_state(id = …, version = …, native)]`](macro@crate::klp_state)
/// on a struct. The kernel compares versions when a patch is enabled, and does
/// nothing else: such a state has no callbacks. The callbacks of an
/// [`Object`](crate::object::Object) make its change and take it back, by a
/// protocol that the authors of all patches agree on. Where all patches are
/// written with klp, use a [`State`](crate::state::State), which needs none.
pub trait NativeState: 'static {
    /// The state's id.
    const ID: c_ulong;
    /// This patch's version of it.
    const VERSION: c_uint;

    /// This patch's entry of the state, by the kernel's `klp_get_state`; `None`
    /// where the init hook has left it out.
    ///
    /// Any context.
    #[must_use]
    fn get<'a>() -> Option<KernelState<'a>> {
        // SAFETY: The patch is this module's.
        KernelState::new(unsafe { sys::klp_glue_get_state(Self::ID) })
    }

    /// The entry of the patch enabled last, before the one in transition, that
    /// lists the state, by the kernel's `klp_get_prev_state`.
    ///
    /// Only in a callback of an object, where the livepatch mutex is held: the
    /// argument proves it. Outside of a transition, when a module comes or goes, the
    /// kernel logs a warning.
    #[must_use]
    fn previous<'a>(object: &'a ObjectContext<'_>) -> Option<KernelState<'a>> {
        let _ = object;
        // SAFETY: In a callback, under the livepatch mutex.
        KernelState::new(unsafe { sys::klp_get_prev_state(Self::ID) })
    }
}

/// An entry of some patch in the kernel's own table: `struct klp_state`.
#[derive(Clone, Copy)]
pub struct KernelState<'a> {
    state: NonNull<c_void>,
    marker: PhantomData<&'a ()>,
}

impl KernelState<'_> {
    fn new(state: *mut c_void) -> Option<Self> {
        NonNull::new(state).map(|state| Self { state, marker: PhantomData })
    }

    /// The version in that patch.
    #[must_use]
    pub fn version(&self) -> u32 {
        // SAFETY: An entry of a loaded patch.
        unsafe { sys::klp_glue_state_version(self.state.as_ptr()) }
    }

    /// The pointer that the patch keeps there: null, or that of [`set_data`](Self::set_data).
    #[must_use]
    pub fn data(&self) -> *mut c_void {
        self.slot().load(Ordering::Acquire)
    }

    /// Keeps a pointer there, which C patches see as `data`. The author frees the
    /// memory that it points to.
    ///
    /// # Safety
    ///
    /// The pointer is what every patch that lists the state takes it for.
    pub unsafe fn set_data(&self, data: *mut c_void) {
        self.slot().store(data, Ordering::Release);
    }

    fn slot(&self) -> &AtomicPtr<c_void> {
        // SAFETY: An entry of a loaded patch, whose data are a pointer that klp patches access in this way only, and C patches under
        // the livepatch mutex.
        unsafe { AtomicPtr::from_ptr(sys::klp_glue_state_data(self.state.as_ptr())) }
    }
}

impl fmt::Debug for KernelState<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelState").field("version", &self.version()).finish_non_exhaustive()
    }
}

/// One state of the kernel's own table: what `#[klp_state(…, native)]` leaves in the section `klp_natives`.
#[doc(hidden)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NativeEntry {
    /// [`NativeState::ID`].
    pub id: c_ulong,
    /// [`NativeState::VERSION`].
    pub version: c_uint,
}

impl NativeEntry {
    /// The entry of `S`.
    #[doc(hidden)]
    #[must_use]
    pub const fn of<S: NativeState>() -> Self {
        Self { id: S::ID, version: S::VERSION }
    }
}
