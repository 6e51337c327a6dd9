//! Shadow variables: fields added to objects that the kernel made.

pub mod raw;

use core::ffi::{CStr, c_int, c_void};
use core::mem::needs_drop;
use core::ptr;

use crate::abi::{DataLayout, FIRST_RESERVED_ID, SHADOW_SLEEPABLE, ShadowEntry, SleepableBox};
use crate::alloc::Gfp;
use crate::error::{EEXIST, ENOMEM, Error, Result};
use crate::layout::{Fingerprint, KlpData};
use crate::module::sys;

/// A field added to each object of a kernel type, as the kernel's shadow variable API has it.
///
/// Declare one with [`#[shadow(state = …, of = …)]`](macro@crate::shadow) on a
/// `#[repr(C)]` struct. All of them are freed with their state (S9), each
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
    /// The id in the kernel's shadow store.
    const ID: u64;
    /// Id of the state that the variable lives as long as.
    const STATE: u64;
    /// The type's name.
    const NAME: &'static CStr;
    /// The name of [`Of`](Self::Of).
    const OF: &'static CStr;
    /// The module whose objects they are, if the variables are freed also when it goes (S9).
    const OBJECT: Option<&'static CStr>;
    /// Whether `Drop` may sleep: it then runs after the kernel's shadow lock is
    /// dropped, in process context. The variable is kept behind a pointer.
    const SLEEPABLE: bool;

    /// The shadow variable of `obj`, if it has one.
    ///
    /// Any context. The search is the kernel's `klp_shadow_get`, under RCU. The
    /// reference is to memory that [`free`](Self::free) and
    /// [`free_all`](Self::free_all) would invalidate, which is why these are unsafe.
    #[inline]
    fn get(obj: &Self::Of) -> Option<&Self> {
        // SAFETY: The kernel compares the object's address and does not follow it.
        let data = unsafe { sys::klp_shadow_get(address(obj), Self::ID) };
        // SAFETY: What the store has under this id is a `Self` (the trait's contract).
        unsafe { payload::<Self>(data).as_ref() }
    }

    /// Adds a shadow variable to `obj`, made by `init`.
    ///
    /// `init` runs in atomic context, under the kernel's shadow lock with
    /// interrupts off; for a sleepable one it runs before, where the caller is.
    ///
    /// # Errors
    ///
    /// `EEXIST` if `obj` has one already, `ENOMEM`, or what `init` returned.
    /// After an error `obj` has no new shadow variable.
    fn alloc(obj: &Self::Of, gfp: Gfp, init: impl FnOnce() -> Result<Self>) -> Result<&Self> {
        if Self::get(obj).is_some() {
            return Err(EEXIST);
        }
        add(obj, gfp, init, sys::klp_shadow_alloc)
    }

    /// The shadow variable of `obj`; where it has none, one made by `init` is added.
    ///
    /// Context and errors of `init` as in [`alloc`](Self::alloc). Of two callers
    /// that race for one object, both get the same variable.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or what `init` returned.
    fn get_or_alloc(obj: &Self::Of, gfp: Gfp, init: impl FnOnce() -> Result<Self>) -> Result<&Self> {
        if let Some(existing) = Self::get(obj) {
            return Ok(existing);
        }
        add(obj, gfp, init, sys::klp_shadow_get_or_alloc)
    }

    /// Frees the shadow variable of `obj`; nothing happens if it has none.
    ///
    /// The destructor runs in atomic context under the kernel's shadow lock; a
    /// sleepable one runs in the caller's, which must be process context.
    ///
    /// # Safety
    ///
    /// No reference to the variable is used any more, and no other call frees
    /// the same one at the same time.
    unsafe fn free(obj: &Self::Of) {
        // SAFETY: As in `get`.
        let data = unsafe { sys::klp_shadow_get(address(obj), Self::ID) };
        if data.is_null() {
            return;
        }
        if Self::SLEEPABLE {
            // SAFETY: The variable is ours (contract), so its box stays after the slot is freed.
            unsafe {
                let boxed = data.cast::<*mut SleepableBox>().read();
                sys::klp_shadow_free(address(obj), Self::ID, None);
                destroy_boxed(boxed, destructor::<Self>());
            }
        } else {
            // SAFETY: The destructor is that of the type which the store has under this id.
            unsafe { sys::klp_shadow_free(address(obj), Self::ID, destructor::<Self>()) }
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

/// The id of the shadow variable `name` of state `state`: two of one state get two ids, the
/// same in every patch.
#[doc(hidden)]
#[must_use]
pub const fn derived_id(state: u64, name: &str) -> u64 {
    // The two top bits keep clear of the ids that patches write and of the runtime's own.
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
    // SAFETY: By contract the box is ours alone.
    unsafe {
        if let Some(destroy) = destroy {
            destroy((*boxed).obj, boxed.byte_add(SleepableBox::PAYLOAD_OFFSET).cast());
        }
        sys::klp_glue_kfree(boxed.cast());
    }
}

/// The address by which the store knows an object.
#[inline]
fn address<T>(obj: &T) -> *mut c_void {
    ptr::from_ref(obj).cast_mut().cast()
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
    unsafe extern "C" fn drop_one<T>(_obj: *mut c_void, data: *mut c_void) {
        // SAFETY: The kernel calls it once, for a variable of this type.
        unsafe { data.cast::<T>().drop_in_place() }
    }
    if needs_drop::<T>() { Some(drop_one::<T>) } else { None }
}

/// `klp_shadow_alloc` or `klp_shadow_get_or_alloc`.
type Allocate = unsafe extern "C" fn(
    *mut c_void,
    u64,
    usize,
    sys::RawGfp,
    Option<unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int>,
    *mut c_void,
) -> *mut c_void;

fn add<T: Shadow>(obj: &T::Of, gfp: Gfp, init: impl FnOnce() -> Result<T>, allocate: Allocate) -> Result<&T> {
    if T::SLEEPABLE { add_boxed(obj, gfp, init, allocate) } else { add_inline(obj, gfp, init, allocate) }
}

fn add_inline<T: Shadow>(
    obj: &T::Of,
    gfp: Gfp,
    init: impl FnOnce() -> Result<T>,
    allocate: Allocate,
) -> Result<&T> {
    struct Constructor<F> {
        init: Option<F>,
        error: Error,
    }

    unsafe extern "C" fn construct<T, F: FnOnce() -> Result<T>>(
        _obj: *mut c_void,
        data: *mut c_void,
        constructor: *mut c_void,
    ) -> c_int {
        // SAFETY: The kernel hands on the pointer given below, once at most.
        let constructor = unsafe { &mut *constructor.cast::<Constructor<F>>() };
        match constructor.init.take().map(|init| init()) {
            Some(Ok(value)) => {
                // SAFETY: The kernel passes storage of the size asked for, aligned to 8 bytes.
                unsafe { data.cast::<T>().write(value) };
                0
            }
            Some(Err(error)) => {
                constructor.error = error;
                error.to_errno()
            }
            None => ENOMEM.to_errno(),
        }
    }

    fn construct_for<T, F: FnOnce() -> Result<T>>(
        _: &Constructor<F>,
    ) -> unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int {
        construct::<T, F>
    }

    let mut constructor = Constructor { init: Some(init), error: ENOMEM };
    let construct = construct_for::<T, _>(&constructor);
    // SAFETY: The constructor makes a `T` in the storage, and outlives the call.
    let data = unsafe {
        allocate(
            address(obj),
            T::ID,
            size_of::<T>(),
            gfp.raw(),
            Some(construct),
            ptr::from_mut(&mut constructor).cast(),
        )
    };
    // SAFETY: Null, or what the store has for a `T`.
    unsafe { data.cast::<T>().as_ref() }.ok_or(constructor.error)
}

fn add_boxed<T: Shadow>(
    obj: &T::Of,
    gfp: Gfp,
    init: impl FnOnce() -> Result<T>,
    allocate: Allocate,
) -> Result<&T> {
    unsafe extern "C" fn put(_obj: *mut c_void, data: *mut c_void, boxed: *mut c_void) -> c_int {
        // SAFETY: The storage is that of one pointer, `boxed` the pointer given below.
        unsafe { data.cast::<*mut c_void>().write(boxed) };
        0
    }

    let value = init()?;
    // SAFETY: A plain allocation, freed by `destroy_boxed`.
    let boxed = unsafe { sys::klp_glue_kmalloc(SleepableBox::PAYLOAD_OFFSET + size_of::<T>(), gfp.raw()) }
        .cast::<SleepableBox>();
    if boxed.is_null() {
        return Err(ENOMEM);
    }
    // SAFETY: The allocation has room for the header and the payload, both aligned to 8 bytes.
    let data = unsafe {
        boxed.write(SleepableBox { next: ptr::null_mut(), obj: address(obj) });
        boxed.byte_add(SleepableBox::PAYLOAD_OFFSET).cast::<T>().write(value);
        allocate(address(obj), T::ID, size_of::<*mut SleepableBox>(), gfp.raw(), Some(put), boxed.cast())
    };
    // SAFETY: What comes back is null, our variable, or that of a caller who was faster.
    unsafe {
        let stored = if data.is_null() { ptr::null_mut() } else { data.cast::<*mut SleepableBox>().read() };
        if stored != boxed {
            destroy_boxed(boxed, destructor::<T>());
        }
        payload::<T>(data).as_ref().ok_or(ENOMEM)
    }
}
