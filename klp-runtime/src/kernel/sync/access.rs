//! Memory that others read and write at the same time: `READ_ONCE`, `WRITE_ONCE`, `atomic_t`.

use core::sync::atomic::{AtomicI32, AtomicI64};

use crate::types::{Is, atomic_t, atomic64_t};

/// Whether a processor reads or writes such a value in one piece, where it is aligned.
const fn is_one_piece<T>() -> bool {
    matches!(size_of::<T>(), 1 | 2 | 4 | 8) && align_of::<T>() == size_of::<T>()
}

/// Reads a field once and in one piece, whoever writes to it meanwhile (`READ_ONCE`). Any context.
///
/// ```
/// use klp_runtime::sync::{read_once, write_once};
///
/// let mut field = 1;
/// // SAFETY: The field is here.
/// unsafe { write_once(&raw mut field, 2) };
/// // SAFETY: The field is here.
/// assert_eq!(unsafe { read_once(&raw const field) }, 2);
/// ```
///
/// # Safety
///
/// `place` is in memory, aligned, and holds a value of the type.
#[inline(always)]
pub unsafe fn read_once<T: Copy>(place: *const T) -> T {
    const { assert!(is_one_piece::<T>(), "not an integer or a pointer: no processor reads it in one piece") }
    // SAFETY: The caller has such a place. A volatile read of one piece is one read.
    unsafe { place.read_volatile() }
}

/// Writes a field once and in one piece, whoever reads it meanwhile (`WRITE_ONCE`). Any context.
///
/// # Safety
///
/// `place` is in memory, aligned, and may be written to.
#[inline(always)]
pub unsafe fn write_once<T: Copy>(place: *mut T, value: T) {
    const { assert!(is_one_piece::<T>(), "not an integer or a pointer: no processor writes it in one piece") }
    // SAFETY: The caller has such a place. A volatile write of one piece is one write.
    unsafe { place.write_volatile(value) }
}

/// An `atomic_t` of the kernel as Rust's. Where C's function returns nothing, `Relaxed` is its order; where it returns
/// the old or new value, `SeqCst`, unless its name says otherwise (`atomic_add_return_acquire`). Any context.
///
/// # Safety
///
/// `counter` is initialised, and stays in memory for `'a`.
#[inline(always)]
pub unsafe fn atomic<'a, A: Is<atomic_t>>(counter: *mut A) -> &'a AtomicI32 {
    // SAFETY: The caller has a counter, which is an aligned `int`, and is used by atomic operations alone.
    unsafe { AtomicI32::from_ptr(counter.cast()) }
}

/// As [`atomic`], for an `atomic64_t` or `atomic_long_t`.
///
/// # Safety
///
/// `counter` is initialised, and stays in memory for `'a`.
#[inline(always)]
pub unsafe fn atomic64<'a, A: Is<atomic64_t>>(counter: *mut A) -> &'a AtomicI64 {
    // SAFETY: The caller has a counter, which is an aligned `s64`, and is used by atomic operations alone.
    unsafe { AtomicI64::from_ptr(counter.cast()) }
}
