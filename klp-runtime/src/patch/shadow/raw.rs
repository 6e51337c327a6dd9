//! Shadow variables as the kernel's own API has them: any object, any id, any size.
//!
//! For what a [`Shadow`](super::Shadow) type can't say: an object that is only an address, a
//! variable that is shared with a patch written in C, a size that is known when the patch runs.
//! Such a variable belongs to no state, so nobody frees it: the patch does, with [`free`] or
//! [`free_all`], at the latest where nothing can make another one any more.
//!
//! All of it may be called in any context, as far as the allocation flags and the caller's own
//! constructor and destructor go. These two run under the kernel's shadow lock, atomic with
//! interrupts off: they can't sleep, nor make or free a shadow variable. `kernel/livepatch/shadow.c`.
//!
//! ```
//! use klp_runtime::prelude::*;
//! use klp_runtime::shadow::raw;
//!
//! /// The same in all patches that use the variable.
//! const LEAK: raw::Id = raw::Id::new(1).unwrap();
//!
//! fn remember(object: *const c_void, leak: *mut c_void) -> Result {
//!     // SAFETY: Whoever uses the id takes the variable for a pointer.
//!     unsafe {
//!         raw::alloc(object, LEAK, size_of::<*mut c_void>(), GFP_KERNEL, |data| {
//!             data.cast::<*mut c_void>().write(leak);
//!             Ok(())
//!         })?;
//!     }
//!     Ok(())
//! }
//!
//! let object = core::ptr::without_provenance(0x1000);
//! let leak = core::ptr::without_provenance_mut(0x2000);
//! remember(object, leak)?;
//! let found = raw::get(object, LEAK).unwrap();
//! // SAFETY: `remember` has left a pointer there.
//! assert_eq!(unsafe { found.cast::<*mut c_void>().read() }, leak);
//! // SAFETY: The pointer that was found is used no more.
//! unsafe { raw::free_all(LEAK, None) };
//! # Ok::<(), Error>(())
//! ```

use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};

use crate::abi::{FIRST_RESERVED_ID, ShadowDestructor};
use crate::alloc::{Gfp, LARGEST_KMALLOC};
use crate::error::{EEXIST, ENOMEM, Error, Result};
use crate::module::sys;

/// The id of a shadow variable: one name space for the whole system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(u64);

impl Id {
    /// None for the ids that are the runtime's own, also for [`Shadow`](super::Shadow) types: 1 << 63 and above.
    ///
    /// In a constant, `Id::new(0x1234).unwrap()` is checked when it is compiled.
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        if id < FIRST_RESERVED_ID { Some(Self(id)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Called with the object and the data of a variable that is freed (`klp_shadow_dtor_t`).
pub type Destructor = ShadowDestructor;

/// The data of variable `id` of `obj`, if there is one (`klp_shadow_get`).
///
/// The object's address is compared and not followed; NULL is one, too. The pointer is good until
/// the variable is freed, by whichever patch.
#[must_use]
pub fn get(obj: *const c_void, id: Id) -> Option<NonNull<c_void>> {
    // SAFETY: The kernel does not follow the object's address.
    NonNull::new(unsafe { sys::klp_shadow_get(obj.cast_mut(), id.0) })
}

/// Adds a variable of `size` bytes to `obj` (`klp_shadow_alloc`).
///
/// The data are zeroed, aligned to 8 bytes, and nobody finds them before `init` has returned.
///
/// # Errors
///
/// `EEXIST` if `obj` has one already, `ENOMEM`, also for more than 4 MiB, or what `init` returned. After
/// an error there is no new variable.
///
/// # Safety
///
/// Whoever uses variable `id` of `obj`, also in other patches, takes its data for what `init` leaves
/// there.
pub unsafe fn alloc(
    obj: *const c_void,
    id: Id,
    size: usize,
    gfp: Gfp,
    init: impl FnOnce(NonNull<c_void>) -> Result,
) -> Result<NonNull<c_void>> {
    // SAFETY: The caller says that `init` makes what is found under the id.
    match unsafe { add(obj.cast_mut(), id.0, size, gfp, init) }? {
        (data, true) => Ok(data),
        (_, false) => Err(EEXIST),
    }
}

/// The variable `id` of `obj`; where it has none, one is added as with [`alloc`]
/// (`klp_shadow_get_or_alloc`).
///
/// Of two callers that race for one object, both get the same variable.
///
/// # Errors
///
/// `ENOMEM`, or what `init` returned.
///
/// # Safety
///
/// As for [`alloc`].
pub unsafe fn get_or_alloc(
    obj: *const c_void,
    id: Id,
    size: usize,
    gfp: Gfp,
    init: impl FnOnce(NonNull<c_void>) -> Result,
) -> Result<NonNull<c_void>> {
    // SAFETY: The caller says that `init` makes what is found under the id.
    unsafe { add(obj.cast_mut(), id.0, size, gfp, init) }.map(|(data, _)| data)
}

/// Frees variable `id` of `obj` (`klp_shadow_free`); nothing happens if it has none.
///
/// # Safety
///
/// Nobody uses the variable any more, and `destroy` is fit for what is in it.
pub unsafe fn free(obj: *const c_void, id: Id, destroy: Option<Destructor>) {
    // SAFETY: The caller says that the destructor is fit for what is in the variable.
    unsafe { sys::klp_shadow_free(obj.cast_mut(), id.0, destroy) }
}

/// Frees the variables `id` of all objects, in no order (`klp_shadow_free_all`).
///
/// # Safety
///
/// As for [`free`], of every object.
pub unsafe fn free_all(id: Id, destroy: Option<Destructor>) {
    // SAFETY: The caller says that the destructor is fit for what is in each variable.
    unsafe { sys::klp_shadow_free_all(id.0, destroy) }
}

/// Room for the kernel's `struct klp_shadow`, which stands before the data (`kernel/livepatch/shadow.c`).
const HEADER: usize = 64;

/// The data of variable `id` of `obj`, and whether they are new: made by `init`.
///
/// # Safety
///
/// `init` makes, in `size` bytes, what is found under the id.
pub(super) unsafe fn add<F: FnOnce(NonNull<c_void>) -> Result>(
    obj: *mut c_void,
    id: u64,
    size: usize,
    gfp: Gfp,
    init: F,
) -> Result<(NonNull<c_void>, bool)> {
    /// `init` until it is called.
    struct Constructor<F> {
        init: Option<F>,
        error: Error,
    }

    /// Calls `init` once.
    ///
    /// # Safety
    ///
    /// `constructor` is a `Constructor<F>` that nobody else uses.
    unsafe extern "C" fn construct<F: FnOnce(NonNull<c_void>) -> Result>(
        _obj: *mut c_void,
        data: *mut c_void,
        constructor: *mut c_void,
    ) -> c_int {
        // SAFETY: The kernel hands on the pointer given below, once at most.
        let constructor = unsafe { &mut *constructor.cast::<Constructor<F>>() };
        let (Some(init), Some(data)) = (constructor.init.take(), NonNull::new(data)) else {
            return ENOMEM.to_errno();
        };
        match init(data) {
            Ok(()) => 0,
            Err(error) => {
                constructor.error = error;
                error.to_errno()
            }
        }
    }

    // The kernel adds its own structure to the size, unchecked, and warns where it has no such memory.
    if size > LARGEST_KMALLOC - HEADER {
        return Err(ENOMEM);
    }
    let mut constructor = Constructor { init: Some(init), error: ENOMEM };
    // SAFETY: The constructor outlives the call, and the caller says that it makes what is found under the id.
    let data = unsafe {
        sys::klp_shadow_get_or_alloc(
            obj,
            id,
            size,
            gfp.raw(),
            Some(construct::<F>),
            ptr::from_mut(&mut constructor).cast(),
        )
    };
    let data = NonNull::new(data).ok_or(constructor.error)?;
    Ok((data, constructor.init.is_none()))
}
