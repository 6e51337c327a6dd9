//! RCU: reading what others replace at the same time.
//!
//! | in C | here |
//! | --- | --- |
//! | `rcu_read_lock`, `rcu_read_unlock` | [`read_lock`], drop the guard |
//! | `rcu_dereference` | [`Guard::dereference`] |
//! | `rcu_dereference_protected`, `rtnl_dereference` | [`Rcu::protected`]; a field of a plain pointer is read |
//! | `rcu_assign_pointer` | [`assign_pointer`] |
//! | `synchronize_rcu` | [`synchronize_rcu`] |
//! | `kfree_rcu(object, field)` | `kfree_rcu!(object, Structure, field)` |
//!
//! Where a kernel's BTF does not say that a field is `__rcu`, the author may: `real_parent: __rcu` makes it an [`Rcu`],
//! which can't be followed without a guard.
//!
//! ```
//! # #[cfg(any())] mod with_a_kernel {
//! use klp_runtime::prelude::*;
//! use klp_runtime::sync::rcu;
//!
//! kernel_types! {
//!     struct task_struct { real_parent: __rcu, tgid }
//! }
//!
//! unsafe fn parent(task: *const task_struct) -> c_int {
//!     let rcu = rcu::read_lock();
//!     // SAFETY: The caller keeps the task; its parent is freed by RCU.
//!     unsafe { (*rcu.dereference(&raw const (*task).real_parent).cast::<task_struct>()).tgid }
//! }
//! # }
//! ```

use core::marker::PhantomData;
use core::sync::atomic::{AtomicPtr, Ordering};

use self::sealed::Pointer as _;
use crate::alloc::Zeroable;
use crate::module::wrappers;
use crate::types::{Is, callback_head};

/// The read side of RCU: what this code reads by [`dereference`](Self::dereference) is not freed before the guard is
/// dropped.
#[must_use = "the read side ends when the guard is dropped"]
#[derive(Debug)]
pub struct Guard {
    /// The kernel's rule: the task that began it ends it.
    stays_in_its_task: PhantomData<*mut ()>,
}

/// Begins a read side (`rcu_read_lock`). Any context. Until the guard is dropped, nothing may sleep. Read sides may be
/// nested.
#[inline(always)]
pub fn read_lock() -> Guard {
    wrappers::klp_glue_rcu_read_lock();
    Guard { stays_in_its_task: PhantomData }
}

impl Guard {
    /// Reads a pointer that others replace (`rcu_dereference`). What it points to is initialised, and stays until the
    /// guard is dropped.
    ///
    /// # Safety
    ///
    /// `place` is in memory and holds a pointer, written by `rcu_assign_pointer` or its like.
    #[inline(always)]
    pub unsafe fn dereference<P: Place>(&self, place: *const P) -> P::Pointer {
        // SAFETY: The caller has such a place. The reads through the pointer depend on this one, which processors keep.
        unsafe { place.read_volatile() }.pointer()
    }
}

impl Drop for Guard {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: `read_lock` has begun it in this task.
        unsafe { wrappers::klp_glue_rcu_read_unlock() }
    }
}

/// A raw pointer, to what is changed through it or not.
pub trait Pointer: Copy + sealed::Pointer {}

mod sealed {
    /// As the public one.
    pub trait Pointer {
        /// The address.
        fn address(self) -> *mut ();

        /// Another address.
        fn with_address(self, address: *mut ()) -> Self;
    }
}

/// A pointer that others replace: a field that C has as `__rcu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Rcu<P: Pointer>(P);

// SAFETY: The null pointer.
unsafe impl<P: Pointer> Zeroable for Rcu<P> {}

impl<P: Pointer> Rcu<P> {
    /// One that holds a pointer.
    #[must_use]
    pub const fn new(pointer: P) -> Self {
        Self(pointer)
    }

    /// The pointer, where its writers are locked out (`rcu_dereference_protected`, `rtnl_dereference`), or where it is
    /// only compared (`rcu_access_pointer`). Any context.
    #[inline(always)]
    #[must_use]
    pub const fn protected(self) -> P {
        self.0
    }
}

/// What holds a pointer that others replace: an [`Rcu`], or a raw pointer.
pub trait Place: Copy {
    /// The pointer.
    type Pointer: Pointer;

    /// The pointer that it holds.
    #[doc(hidden)]
    fn pointer(self) -> Self::Pointer;
}

impl<P: Pointer> Place for P {
    type Pointer = P;

    fn pointer(self) -> P {
        self
    }
}

impl<P: Pointer> Place for Rcu<P> {
    type Pointer = P;

    #[inline(always)]
    fn pointer(self) -> P {
        self.0
    }
}

impl<T> Pointer for *const T {}
impl<T> Pointer for *mut T {}

impl<T> sealed::Pointer for *const T {
    fn address(self) -> *mut () {
        self.cast_mut().cast()
    }

    fn with_address(self, address: *mut ()) -> Self {
        address.cast()
    }
}

impl<T> sealed::Pointer for *mut T {
    fn address(self) -> *mut () {
        self.cast()
    }

    fn with_address(self, address: *mut ()) -> Self {
        address.cast()
    }
}

/// Replaces a pointer that others read at the same time (`rcu_assign_pointer`): who reads the new one reads what was
/// written to its target before. Any context.
///
/// # Safety
///
/// `place` is in memory, aligned, and nobody else writes to it. What the old pointer points to stays until no read
/// side that may have begun before is left: [`synchronize_rcu`].
#[inline(always)]
pub unsafe fn assign_pointer<P: Place>(place: *mut P, pointer: P::Pointer) {
    // SAFETY: The caller has the place, which holds a pointer.
    unsafe { AtomicPtr::from_ptr(place.cast::<*mut ()>()) }.store(pointer.address(), Ordering::Release);
}

/// Waits until each read side that had begun when it was called has ended. Sleeps, for many milliseconds: process
/// context only.
///
/// In a read side of its own task it is a deadlock: it waits for the [`Guard`] that its caller has yet to drop. The
/// compiler does not see that; on the host it is a fault.
pub fn synchronize_rcu() {
    wrappers::klp_glue_synchronize_rcu();
}

/// Frees an object of `kmalloc` or `kvmalloc` once no read side that may use it is left: behind
/// [`kfree_rcu!`](crate::kfree_rcu).
///
/// # Safety
///
/// The object is from such an allocation, readers find it no more, and nobody else frees it; `head` is in it, at an
/// offset below 4096.
#[doc(hidden)]
#[inline(always)]
pub unsafe fn kfree_rcu<T, H: Is<callback_head>>(head: *mut H, object: *mut T) {
    // SAFETY: The caller gives the object up.
    unsafe { wrappers::klp_glue_kfree_rcu(head.cast(), object.cast()) }
}

/// Frees an object once no read side of RCU that may use it is left (`kfree_rcu`): `kfree_rcu!(object, Structure, field)`,
/// where the field is the structure's `rcu_head`. Any context.
///
/// It must stand in an `unsafe` block: the object is from `kmalloc`, `kvmalloc` or a cache, readers that begin now do not
/// find it, and nobody else frees it. A field that is no `rcu_head` does not compile. The object's memory is the
/// kernel's from then on, so the patch may be unloaded before it is freed.
#[macro_export]
macro_rules! kfree_rcu {
    ($object:expr, $structure:ty, $($field:tt)+) => {{
        let object: *mut $structure = $object;
        const { assert!(::core::mem::offset_of!($structure, $($field)+) < 4096, "the field is too far from the start") };
        $crate::sync::rcu::kfree_rcu(&raw mut (*object).$($field)+, object)
    }};
}
