//! Memory from the kernel's allocator.

use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

use crate::error::{ENOMEM, Result};
use crate::module::{sys, wrappers};

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
/// May sleep: process context only. Counts for the control group of the task: for what a process can make many of.
pub const GFP_KERNEL_ACCOUNT: Gfp = Gfp(5);

impl Gfp {
    /// The flags' value on the kernel that the module was built for.
    #[inline]
    pub(crate) fn raw(self) -> sys::RawGfp {
        sys::gfp(self.0)
    }
}

/// Where memory is from, and so where it goes back to.
pub trait Allocator: sealed::Allocator {}

mod sealed {
    use core::ffi::c_void;

    use crate::module::sys::RawGfp;

    /// As the public one.
    pub trait Allocator {
        /// Zeroed memory, aligned to 8 bytes; null where there is none. The size is not 0.
        fn alloc(size: usize, gfp: RawGfp) -> *mut c_void;

        /// Gives memory back.
        ///
        /// # Safety
        ///
        /// It is from [`alloc`](Self::alloc), and nobody uses it any more.
        unsafe fn free(memory: *mut c_void);
    }
}

macro_rules! allocators {
    ($($(#[$docs:meta])* $name:ident = $alloc:path, $free:path;)*) => {$(
        $(#[$docs])*
        #[derive(Debug)]
        pub enum $name {}

        impl Allocator for $name {}

        impl sealed::Allocator for $name {
            #[inline(always)]
            fn alloc(size: usize, gfp: sys::RawGfp) -> *mut c_void {
                // SAFETY: A plain allocation.
                unsafe { $alloc(size, gfp) }
            }

            #[inline(always)]
            unsafe fn free(memory: *mut c_void) {
                // SAFETY: The caller has the memory from this allocator, and gives it up.
                unsafe { $free(memory) }
            }
        }
    )*};
}

allocators! {
    /// `kmalloc`: memory in one physical piece. More than a few pages are often not available, more than 4 MiB never.
    Kmalloc = kmalloc, sys::kfree;
    /// `kvmalloc`: page by page if there is no such piece. Process context only, with flags that may sleep; giving it back
    /// may sleep, too.
    KVmalloc = kvmalloc, wrappers::kvfree;
}

/// The most that `kmalloc` gives (`KMALLOC_MAX_SIZE`; the glue asserts it). It warns of who asks for more.
pub(crate) const LARGEST_KMALLOC: usize = 4 << 20;

/// `kmalloc`, but for sizes that it never gives and warns about: a process may have chosen the size.
///
/// # Safety
///
/// As for the kernel's.
#[inline]
unsafe fn kmalloc(size: usize, gfp: sys::RawGfp) -> *mut c_void {
    if size > LARGEST_KMALLOC {
        return ptr::null_mut();
    }
    // SAFETY: A plain allocation.
    unsafe { sys::klp_glue_kmalloc(size, gfp) }
}

/// `kvmalloc`, but for sizes that it never gives and warns about: a process may have chosen the size.
///
/// # Safety
///
/// As for the kernel's.
unsafe fn kvmalloc(size: usize, gfp: sys::RawGfp) -> *mut c_void {
    if i32::try_from(size).is_err() {
        return ptr::null_mut();
    }
    // SAFETY: A plain allocation.
    unsafe { wrappers::klp_glue_kvmalloc(size, gfp) }
}

/// An owned value in memory of its own: a [`KBox`] or a [`KVBox`].
///
/// The value's alignment may be 8 bytes at most. To C and to other patches it is a pointer; a slice is a pointer and
/// a length.
#[repr(transparent)]
pub struct Box<T: ?Sized, A: Allocator>(NonNull<T>, PhantomData<A>);

/// An owned value in memory from `kmalloc`.
pub type KBox<T> = Box<T, Kmalloc>;

/// An owned value in memory from `kvmalloc`: for values that may be large.
///
/// Dropping it may sleep: process context only, under no spinlock and in no read side of RCU. Take it out of what the lock
/// protects, and drop it once the lock is given back. On the host, dropping it elsewhere is a fault.
///
/// ```
/// use klp_runtime::alloc::KVBox;
/// use klp_runtime::prelude::*;
///
/// let mut table = KVBox::<[u64]>::zeroed(100_000, GFP_KERNEL)?;
/// table[7] = 1;
/// assert_eq!(table.iter().sum::<u64>(), 1);
///
/// // More than 2 GiB, say because a process asks for it, is ENOMEM without a warning in the log.
/// assert_eq!(KVBox::<[u8]>::zeroed(1 << 31, GFP_KERNEL).err(), Some(ENOMEM));
/// # Ok::<(), Error>(())
/// ```
pub type KVBox<T> = Box<T, KVmalloc>;

// SAFETY: A box owns its value.
unsafe impl<T: Send + ?Sized, A: Allocator> Send for Box<T, A> {}
// SAFETY: A reference to a box gives a reference to its value, and nothing else.
unsafe impl<T: Sync + ?Sized, A: Allocator> Sync for Box<T, A> {}

/// A type of which all bytes may be 0: integers, raw pointers, arrays of them, and structures from `kernel_types!`.
///
/// # Safety
///
/// Memory of zeros is a value of the type.
#[diagnostic::on_unimplemented(
    message = "zeros may be no value of `{Self}`",
    note = "write `unsafe impl klp_runtime::alloc::Zeroable for {Self} {{}}` where they are one"
)]
pub unsafe trait Zeroable {}

macro_rules! zeroable {
    ($($ty:ty),*) => {$(
        // SAFETY: An integer or `bool`.
        unsafe impl Zeroable for $ty {}
    )*};
}

zeroable!(bool, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

// SAFETY: The null pointer.
unsafe impl<T> Zeroable for *const T {}
// SAFETY: The null pointer.
unsafe impl<T> Zeroable for *mut T {}
// SAFETY: Each element may be 0.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {}

impl<T: Zeroable, A: Allocator> Box<[T], A> {
    /// So many values, all of them 0 (`kcalloc`, `kvcalloc`).
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if their total size overflows.
    pub fn zeroed(len: usize, gfp: Gfp) -> Result<Self> {
        const { assert!(align_of::<T>() <= 8, "the allocator aligns to 8 bytes: a box can't hold this type") }
        let size = len.checked_mul(size_of::<T>()).ok_or(ENOMEM)?;
        let first = NonNull::new(A::alloc(size.max(1), gfp.raw()).cast::<T>()).ok_or(ENOMEM)?;
        Ok(Self(NonNull::slice_from_raw_parts(first, len), PhantomData))
    }
}

impl<T, A: Allocator> Box<T, A> {
    /// Moves `value` to memory of its own.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `value` is dropped.
    pub fn new(value: T, gfp: Gfp) -> Result<Self> {
        const { assert!(align_of::<T>() <= 8, "kmalloc aligns to 8 bytes: a `KBox` can't hold this type") }
        // `kmalloc(0)` returns a pointer that may not be written to, and nothing will be.
        let memory = A::alloc(size_of::<T>().max(1), gfp.raw());
        let memory = NonNull::new(memory.cast::<T>()).ok_or(ENOMEM)?;
        // SAFETY: The memory is ours, large enough and aligned (asserted above).
        unsafe { memory.write(value) };
        Ok(Self(memory, PhantomData))
    }

    /// Takes the value out, and frees its memory.
    #[must_use]
    pub fn into_inner(boxed: Self) -> T {
        let boxed = ManuallyDrop::new(boxed);
        // SAFETY: The value and its memory are ours, and the box is not used again.
        unsafe {
            let value = boxed.0.read();
            A::free(boxed.0.as_ptr().cast());
            value
        }
    }
}

impl<T: ?Sized, A: Allocator> Box<T, A> {
    /// Gives up the value: whoever has the pointer frees it with [`from_raw`](Self::from_raw).
    #[must_use]
    pub fn into_raw(self) -> *mut T {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Takes back what [`into_raw`](Self::into_raw) gave.
    ///
    /// # Safety
    ///
    /// `pointer` is from `into_raw`, or from the same allocator of C, and is given back once.
    #[must_use]
    pub unsafe fn from_raw(pointer: *mut T) -> Self {
        // SAFETY: Neither gives a null pointer.
        Self(unsafe { NonNull::new_unchecked(pointer) }, PhantomData)
    }
}

impl<T: ?Sized, A: Allocator> Drop for Box<T, A> {
    fn drop(&mut self) {
        // SAFETY: The value and its memory are ours.
        unsafe {
            self.0.drop_in_place();
            A::free(self.0.as_ptr().cast());
        }
    }
}

impl<T: ?Sized, A: Allocator> Deref for Box<T, A> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The value is ours and initialised.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized, A: Allocator> DerefMut for Box<T, A> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The value is ours and initialised.
        unsafe { self.0.as_mut() }
    }
}

impl<T: fmt::Debug + ?Sized, A: Allocator> fmt::Debug for Box<T, A> {
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
