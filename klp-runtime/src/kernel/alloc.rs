//! Memory from the kernel's allocator.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use crate::error::{ENOMEM, Result};
use crate::module::sys;

/// Allocation flags: what an allocation may do to get its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gfp(u8);

/// May sleep: process context only.
pub const GFP_KERNEL: Gfp = Gfp(0);
/// May not sleep; may use emergency reserves.
pub const GFP_ATOMIC: Gfp = Gfp(1);
/// May not sleep, and does not touch reserves.
pub const GFP_NOWAIT: Gfp = Gfp(2);
/// May sleep, but starts no file system operation.
pub const GFP_NOFS: Gfp = Gfp(3);
/// May sleep, but starts no I/O.
pub const GFP_NOIO: Gfp = Gfp(4);

impl Gfp {
    /// The flags' value on the kernel that the module was built for.
    #[inline]
    pub(crate) fn raw(self) -> sys::RawGfp {
        sys::gfp(self.0)
    }
}

/// An owned value in memory from `kmalloc`.
///
/// The value's alignment may be 8 bytes at most. It is one pointer to C and to other patches.
#[repr(transparent)]
pub struct KBox<T>(NonNull<T>);

// SAFETY: A `KBox` owns its value.
unsafe impl<T: Send> Send for KBox<T> {}
// SAFETY: A reference to a `KBox` gives a reference to its value, and nothing else.
unsafe impl<T: Sync> Sync for KBox<T> {}

impl<T> KBox<T> {
    /// Moves `value` to memory of its own.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `value` is dropped.
    pub fn new(value: T, gfp: Gfp) -> Result<Self> {
        const { assert!(align_of::<T>() <= 8, "kmalloc aligns to 8 bytes: a `KBox` can't hold this type") }
        // `kmalloc(0)` returns a pointer that may not be written to, and nothing will be.
        // SAFETY: A plain allocation.
        let memory = unsafe { sys::klp_glue_kmalloc(size_of::<T>().max(1), gfp.raw()) };
        let memory = NonNull::new(memory.cast::<T>()).ok_or(ENOMEM)?;
        // SAFETY: The memory is ours, large enough and aligned (asserted above).
        unsafe { memory.write(value) };
        Ok(Self(memory))
    }

    /// Takes the value out, and frees its memory.
    #[must_use]
    pub fn into_inner(boxed: Self) -> T {
        let boxed = ManuallyDrop::new(boxed);
        // SAFETY: The value and its memory are ours, and the box is not used again.
        unsafe {
            let value = boxed.0.read();
            sys::kfree(boxed.0.as_ptr().cast());
            value
        }
    }

    /// Gives the value up: whoever has the pointer frees it with [`from_raw`](Self::from_raw).
    #[must_use]
    pub fn into_raw(self) -> *mut T {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Takes back what [`into_raw`](Self::into_raw) gave.
    ///
    /// # Safety
    ///
    /// `pointer` is from `into_raw` and is given back once.
    #[must_use]
    pub unsafe fn from_raw(pointer: *mut T) -> Self {
        // SAFETY: `into_raw` gives no null pointer.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        // SAFETY: The value and its memory are ours.
        unsafe {
            self.0.drop_in_place();
            sys::kfree(self.0.as_ptr().cast());
        }
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The value is ours and initialised.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The value is ours and initialised.
        unsafe { self.0.as_mut() }
    }
}

impl<T: fmt::Debug> fmt::Debug for KBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[diagnostic::do_not_recommend]
// SAFETY: A pointer to memory from the kernel's allocator, outside of any
// module; what it points to is told by its own fingerprint.
unsafe impl<T: crate::layout::KlpData> crate::layout::KlpData for KBox<T> {
    const FINGERPRINT: u64 = crate::layout::Fingerprint::new("KBox").number(T::FINGERPRINT).finish::<Self>();
}
