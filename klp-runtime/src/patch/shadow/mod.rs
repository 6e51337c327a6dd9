//! Shadow variables: fields added to objects that the kernel made.

pub mod raw;

use core::ffi::{CStr, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::mem::needs_drop;
use core::ops::Deref;
use core::ptr::{self, NonNull};

use crate::abi::{DataLayout, DataSlot, FIRST_RESERVED_ID, SHADOW_SLEEPABLE, ShadowEntry, SleepableBox};
use crate::alloc::Gfp;
use crate::error::{EDEADLK, EEXIST, ENODEV, ENOMEM, Result};
use crate::layout::{Fingerprint, KlpData};
use crate::module::sys;

/// A field added to each object of a kernel type, as the kernel's shadow variable API has it.
///
/// Declare one with [`#[shadow(state = …, of = …)]`](macro@crate::shadow) on a
/// `#[repr(C)]` struct. All of them are freed with their state ([S9](crate::lifecycle#s9)), each
/// destructor (the type's `Drop`) running exactly once, whichever patches came
/// and went in between.
///
/// While a patch is being enabled or disabled some tasks run old code, which
/// knows nothing of shadow variables: an object made by old code has none, one
/// released by old code keeps its own until the state goes. New code therefore
/// treats a missing shadow variable as a normal case.
///
/// # Safety
///
/// [`ID`](Self::ID) belongs to this type alone in the whole system, and every
/// build that uses it has the same layout or another fingerprint. The macro
/// sees to both.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a shadow variable",
    label = "not a shadow variable",
    note = "write `#[shadow(state = …, of = …)]` and `#[repr(C)]` on the struct"
)]
pub unsafe trait Shadow: KlpData {
    /// The kernel's type of the objects.
    type Of;
    /// The id in the kernel's shadow store. It has both top bits, so that no patch written in C happens to use it: to
    /// share a variable with one, use [`raw`].
    const ID: u64;
    /// Id of the state that the variable lives as long as.
    const STATE: u64;
    /// The type's name.
    const NAME: &'static CStr;
    /// The name of [`Of`](Self::Of).
    const OF: &'static CStr;
    /// The module whose objects they are, if the variables are freed also when it goes
    /// ([S9](crate::lifecycle#s9)).
    const OBJECT: Option<&'static CStr>;
    /// Whether `Drop` may sleep: it then runs in process context, after the kernel has dropped its shadow
    /// lock. The variable is kept behind a pointer.
    const SLEEPABLE: bool;
    #[doc(hidden)]
    const __SLOT: *const DataSlot;

    /// The shadow variable of `obj`; `None` where it has none, and where the patch does not provide the live
    /// state ([S18](crate::lifecycle#s18)).
    ///
    /// Any context. The search is the kernel's `klp_shadow_get`, under RCU. The
    /// reference is to memory that [`free`](Self::free) and
    /// [`free_all`](Self::free_all) would invalidate, which is why these are unsafe.
    #[inline]
    fn get(obj: &Self::Of) -> Option<ShadowRef<'_, Self>> {
        // SAFETY: The object is borrowed for as long as the variable is, and the reference stays in this call.
        unsafe { Self::get_at(obj) }.map(ShadowRef::new)
    }

    /// Adds a shadow variable to `obj`, made by `init`.
    ///
    /// `init` runs first, in the context of the caller and under no lock of the kernel's: it may make other
    /// shadow variables. Where the variable can't be added after all, what `init` made is dropped there.
    ///
    /// # Errors
    ///
    /// `EEXIST` if `obj` has one already, also where another task was faster; `ENODEV` where the patch does not
    /// provide the live state ([S18](crate::lifecycle#s18)); `EDEADLK` in the `Drop` of a variable that is not
    /// sleepable; `ENOMEM`; or the error that `init` returned.
    /// After an error `obj` has no new shadow variable.
    fn alloc(obj: &Self::Of, gfp: Gfp, init: impl FnOnce() -> Result<Self>) -> Result<ShadowRef<'_, Self>> {
        // SAFETY: The object is borrowed for as long as the variable is, and the reference stays in this call.
        unsafe { Self::alloc_at(obj, gfp, init) }.map(ShadowRef::new)
    }

    /// The shadow variable of `obj`; where it has none, one made by `init` is added.
    ///
    /// `init` runs as in [`alloc`](Self::alloc), only where `obj` has no variable yet. Of two tasks that call this for
    /// one object at the same time, both get the same variable, and what the slower one's `init` made is dropped.
    ///
    /// # Errors
    ///
    /// `ENODEV` where the patch does not provide the live state ([S18](crate::lifecycle#s18)); `EDEADLK` where a variable
    /// had to be made in the `Drop` of one that is not sleepable; `ENOMEM`; or the error that `init` returned.
    fn get_or_alloc(
        obj: &Self::Of,
        gfp: Gfp,
        init: impl FnOnce() -> Result<Self>,
    ) -> Result<ShadowRef<'_, Self>> {
        // SAFETY: The object is borrowed for as long as the variable is, and the reference stays in this call.
        unsafe { Self::get_or_alloc_at(obj, gfp, init) }.map(ShadowRef::new)
    }

    /// [`get`](Self::get) for an object that others may write to meanwhile, so that there can be no reference to
    /// it: its address is compared and never followed.
    ///
    /// # Safety
    ///
    /// The reference is not used once the object or the variable may be gone: after [`free`](Self::free) or
    /// [`free_all`](Self::free_all), or outside of the patch's own code.
    #[inline]
    unsafe fn get_at<'a>(obj: *const Self::Of) -> Option<&'a Self> {
        if !is_provided::<Self>() {
            sys::cold_path();
            return None;
        }
        // SAFETY: The caller keeps the variable as long as it uses the reference.
        unsafe { find(obj) }
    }

    /// [`alloc`](Self::alloc) by the object's address, as [`get_at`](Self::get_at).
    ///
    /// # Errors
    ///
    /// As for [`alloc`](Self::alloc).
    ///
    /// # Safety
    ///
    /// The object exists. For the reference as for [`get_at`](Self::get_at).
    unsafe fn alloc_at<'a>(
        obj: *const Self::Of,
        gfp: Gfp,
        init: impl FnOnce() -> Result<Self>,
    ) -> Result<&'a Self> {
        // SAFETY: The caller keeps the variable as long as it uses the reference.
        match unsafe { add(obj, gfp, init) }? {
            Added::New(new) => Ok(new),
            Added::Existing(_) => Err(EEXIST),
        }
    }

    /// [`get_or_alloc`](Self::get_or_alloc) by the object's address, as [`get_at`](Self::get_at).
    ///
    /// # Errors
    ///
    /// As for [`get_or_alloc`](Self::get_or_alloc).
    ///
    /// # Safety
    ///
    /// The object exists. For the reference as for [`get_at`](Self::get_at).
    unsafe fn get_or_alloc_at<'a>(
        obj: *const Self::Of,
        gfp: Gfp,
        init: impl FnOnce() -> Result<Self>,
    ) -> Result<&'a Self> {
        // SAFETY: The caller keeps the variable as long as it uses the reference.
        match unsafe { add(obj, gfp, init) }? {
            Added::New(variable) | Added::Existing(variable) => Ok(variable),
        }
    }

    /// Frees the shadow variable of `obj`; nothing happens if it has none, or if the patch does not provide the
    /// live state ([S18](crate::lifecycle#s18)).
    ///
    /// The destructor runs in atomic context under the kernel's shadow lock, where no shadow variable can be made or
    /// freed; a sleepable one runs in the caller's, which must be process context.
    ///
    /// # Safety
    ///
    /// No reference to the variable is used any more, no other call frees the same one at the same time, and the
    /// call is not in the `Drop` of a variable that is not sleepable.
    unsafe fn free(obj: *const Self::Of) {
        if !is_provided::<Self>() {
            return;
        }
        let obj: *mut c_void = obj.cast_mut().cast();
        // SAFETY: The kernel compares the object's address and does not follow it.
        let data = unsafe { sys::klp_shadow_get(obj, Self::ID) };
        if data.is_null() {
            return;
        }
        if Self::SLEEPABLE {
            // SAFETY: The variable is the caller's, so its box stays after the slot is freed.
            unsafe {
                let boxed = data.cast::<*mut SleepableBox>().read();
                sys::klp_shadow_free(obj, Self::ID, None);
                destroy_boxed(boxed, destructor::<Self>());
            }
        } else {
            // SAFETY: The destructor is that of the type which the store has under this id.
            unsafe { sys::klp_shadow_free(obj, Self::ID, destructor::<Self>()) }
        }
    }

    /// Frees the shadow variables of all objects.
    ///
    /// The runtime does so when the state goes; a patch needs it only to start
    /// afresh. Process context, outside of any atomic section if sleepable.
    ///
    /// # Safety
    ///
    /// As for [`free`](Self::free), of every object. Called under the kernel's
    /// livepatch mutex, that is from a state callback.
    unsafe fn free_all() {
        // SAFETY: The entry describes the variables that the store has under this id.
        unsafe { free_all(&ShadowEntry::of::<Self>()) }
    }
}

/// A shadow variable with a state of its own: `#[shadow(id = …)]`.
///
/// # Safety
///
/// No other variable and no [`State`](crate::state::State) has the state.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no state of its own",
    label = "goes with its state",
    note = "a variable that is left out alone would be reached all the same, as its state is there: leave the state out \
            with `omit_state`, or give the variable its own with `#[shadow(id = …)]`"
)]
pub unsafe trait OwnsState: Shadow {}

/// A shadow variable as the patch's code uses it, while the call lasts in which it was asked for.
///
/// The variable goes with its state, once no call of the patch's code runs. So the reference stays in its call: it is
/// not `Send`, and no `static` can keep it, whatever the lifetime of the object.
#[repr(transparent)]
pub struct ShadowRef<'a, T> {
    variable: &'a T,
    stays_in_its_call: PhantomData<*mut ()>,
}

impl<'a, T> ShadowRef<'a, T> {
    #[inline]
    const fn new(variable: &'a T) -> Self {
        Self { variable, stays_in_its_call: PhantomData }
    }
}

impl<T> Clone for ShadowRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ShadowRef<'_, T> {}

impl<T> Deref for ShadowRef<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.variable
    }
}

impl<T: fmt::Debug> fmt::Debug for ShadowRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.variable.fmt(f)
    }
}

/// The id of the shadow variable `name` of state `state`: two of one state get two ids, the
/// same in every patch.
#[doc(hidden)]
#[must_use]
pub const fn derived_id(state: u64, name: &str) -> u64 {
    // The two top bits keep clear of the ids that patches write, also those in C, and of the runtime's own.
    let hash = Fingerprint::new("shadow").number(state).text(name).finish::<()>();
    hash | FIRST_RESERVED_ID | (FIRST_RESERVED_ID >> 1)
}

impl ShadowEntry {
    /// The entry of `T`, whose alignment is 8 at most: the macro asserts it, at the struct.
    #[doc(hidden)]
    #[must_use]
    pub const fn of<T: Shadow>() -> Self {
        Self {
            id: T::ID,
            state: T::STATE,
            flags: if T::SLEEPABLE { SHADOW_SLEEPABLE } else { 0 },
            name: T::NAME.as_ptr(),
            of: T::OF.as_ptr(),
            object: match T::OBJECT {
                Some(object) => object.as_ptr(),
                None => ptr::null(),
            },
            layout: DataLayout::of::<T>(),
            destroy: if crate::HAS_CALLERS { destructor::<T>() } else { None },
        }
    }
}

/// Frees every shadow variable that `entry` describes, in process context.
///
/// # Safety
///
/// `entry` is true, no reference to one of the variables is used any more, and
/// the livepatch mutex is held.
pub(crate) unsafe fn free_all(entry: &ShadowEntry) {
    if entry.flags & SHADOW_SLEEPABLE == 0 {
        // SAFETY: The entry's destructor is that of the variables.
        unsafe { sys::klp_shadow_free_all(entry.id, entry.destroy) };
        return;
    }
    // SAFETY: Only this function and `collect` use the list, and the livepatch mutex is held.
    unsafe {
        sys::PENDING.replace(ptr::null_mut());
        sys::klp_shadow_free_all(entry.id, Some(collect));
        let mut next = sys::PENDING.replace(ptr::null_mut());
        while !next.is_null() {
            let boxed = next;
            next = (*boxed).next;
            destroy_boxed(boxed, entry.destroy);
        }
    }
}

/// In place of a sleepable destructor, under the shadow lock: keeps the box for later.
///
/// # Safety
///
/// `data` is a sleepable variable that its slot gives up, and the livepatch mutex is held.
unsafe extern "C" fn collect(_obj: *mut c_void, data: *mut c_void) {
    // SAFETY: A sleepable variable holds a pointer to its box, which the slot's owner gives up.
    unsafe {
        let boxed = data.cast::<*mut SleepableBox>().read();
        (*boxed).next = sys::PENDING.replace(boxed);
    }
}

/// Runs the destructor on a box's payload and frees the box.
///
/// # Safety
///
/// The box is no longer in the store and `destroy` is its payload's.
unsafe fn destroy_boxed(boxed: *mut SleepableBox, destroy: Option<crate::abi::ShadowDestructor>) {
    // SAFETY: A box that is not in the store is its caller's alone, from one allocation with its payload.
    unsafe {
        if let Some(destroy) = destroy {
            destroy((*boxed).obj, boxed.byte_add(SleepableBox::PAYLOAD_OFFSET).cast());
        }
        sys::kfree(boxed.cast());
    }
}

/// Whether the patch provides the live state that the variable belongs to ([S18](crate::lifecycle#s18)): one
/// load and a test.
#[inline]
fn is_provided<T: Shadow>() -> bool {
    // SAFETY: `__SLOT` is the address of a static of the patch.
    sys::has_no_states() || unsafe { (*T::__SLOT).is_live() }
}

/// The variable that the store's `data` holds or points to; null for null.
///
/// # Safety
///
/// `data` is null or what the store has for a `T`.
#[inline]
unsafe fn payload<T: Shadow>(data: *mut c_void) -> *const T {
    if !T::SLEEPABLE || data.is_null() {
        return data.cast();
    }
    // SAFETY: A sleepable variable holds a pointer to its box.
    unsafe { data.cast::<*mut SleepableBox>().read().byte_add(SleepableBox::PAYLOAD_OFFSET).cast() }
}

/// The type's `Drop` as the kernel calls it; none where dropping does nothing.
const fn destructor<T: Shadow>() -> Option<crate::abi::ShadowDestructor> {
    /// Drops one in place.
    ///
    /// # Safety
    ///
    /// `data` is a `T` that nobody uses any more.
    unsafe extern "C" fn drop_one<T: Shadow>(_obj: *mut c_void, data: *mut c_void) {
        if !T::SLEEPABLE {
            sys::set_destroying(true);
        }
        // SAFETY: The kernel calls it once, for a variable of this type.
        unsafe { data.cast::<T>().drop_in_place() };
        if !T::SLEEPABLE {
            sys::set_destroying(false);
        }
    }
    if needs_drop::<T>() { Some(drop_one::<T>) } else { None }
}

/// The variable of `obj`, whether the patch may have it or not.
///
/// # Safety
///
/// The variable stays as long as the reference is used.
#[inline]
unsafe fn find<'a, T: Shadow>(obj: *const T::Of) -> Option<&'a T> {
    // SAFETY: The kernel compares the object's address and does not follow it.
    let data = unsafe { sys::klp_shadow_get(obj.cast_mut().cast(), T::ID) };
    // SAFETY: Under this id the store has a `T` (the trait's contract), which the caller keeps.
    unsafe { payload::<T>(data).as_ref() }
}

/// What a caller that wants a variable gets.
enum Added<'a, T> {
    /// The one that it has made.
    New(&'a T),
    /// One that was there, maybe made by another task meanwhile.
    Existing(&'a T),
}

/// Adds a variable made by `init` where `obj` has none.
///
/// Always by `klp_shadow_get_or_alloc`: `klp_shadow_alloc` warns where two tasks do this at once.
///
/// # Safety
///
/// The object exists, and the variable stays as long as the reference is used.
unsafe fn add<'a, T: Shadow>(
    obj: *const T::Of,
    gfp: Gfp,
    init: impl FnOnce() -> Result<T>,
) -> Result<Added<'a, T>> {
    if !is_provided::<T>() {
        return Err(ENODEV);
    }
    // SAFETY: The caller keeps the variable.
    if let Some(existing) = unsafe { find(obj) } {
        return Ok(Added::Existing(existing));
    }
    if sys::is_destroying() {
        return Err(EDEADLK);
    }
    let obj = obj.cast_mut().cast();
    // SAFETY: Null or a `T` of the store, which the caller keeps.
    unsafe { if T::SLEEPABLE { add_boxed(obj, gfp, init) } else { add_inline(obj, gfp, init) } }
}

/// Adds a variable in the store's own memory.
///
/// # Safety
///
/// As for [`add`].
unsafe fn add_inline<'a, T: Shadow>(
    obj: *mut c_void,
    gfp: Gfp,
    init: impl FnOnce() -> Result<T>,
) -> Result<Added<'a, T>> {
    // Before the kernel takes its shadow lock, under which `init` could make no other variable.
    let value = init()?;
    let put = |data: NonNull<c_void>| {
        // SAFETY: The kernel passes storage of the size asked for, aligned to 8 bytes.
        unsafe { data.cast::<T>().write(value) };
        Ok(())
    };
    // SAFETY: `put` leaves a `T` there, which is what the store has under this id (the trait's contract).
    let (data, is_new) = unsafe { raw::add(obj, T::ID, size_of::<T>(), gfp, put) }?;
    // SAFETY: The store has a `T` there, which the caller keeps.
    let variable = unsafe { data.cast().as_ref() };
    Ok(if is_new { Added::New(variable) } else { Added::Existing(variable) })
}

/// Adds a pointer to a variable in memory of its own, which a destructor that may sleep is called with.
///
/// # Safety
///
/// As for [`add`].
unsafe fn add_boxed<'a, T: Shadow>(
    obj: *mut c_void,
    gfp: Gfp,
    init: impl FnOnce() -> Result<T>,
) -> Result<Added<'a, T>> {
    let value = init()?;
    // SAFETY: A plain allocation, freed by `destroy_boxed`.
    let boxed = unsafe { sys::klp_glue_kmalloc(SleepableBox::PAYLOAD_OFFSET + size_of::<T>(), gfp.raw()) }
        .cast::<SleepableBox>();
    if boxed.is_null() {
        return Err(ENOMEM);
    }
    // SAFETY: The allocation has room for the header and the payload, both aligned to 8 bytes.
    unsafe {
        boxed.write(SleepableBox { next: ptr::null_mut(), obj });
        boxed.byte_add(SleepableBox::PAYLOAD_OFFSET).cast::<T>().write(value);
    }
    let put = |data: NonNull<c_void>| {
        // SAFETY: The storage is that of one pointer.
        unsafe { data.cast().write(boxed) };
        Ok(())
    };
    // SAFETY: A sleepable variable is a pointer to its box, which `put` leaves there.
    let added = unsafe { raw::add(obj, T::ID, size_of::<*mut SleepableBox>(), gfp, put) };
    if !matches!(added, Ok((_, true))) {
        // SAFETY: The box has not come into the store, so it is ours alone.
        unsafe { destroy_boxed(boxed, destructor::<T>()) };
    }
    let (data, is_new) = added?;
    // SAFETY: The store has a pointer to the box of a `T` there, which the caller keeps.
    let variable = unsafe { &*payload::<T>(data.as_ptr()) };
    Ok(if is_new { Added::New(variable) } else { Added::Existing(variable) })
}
