//! Bits in arrays of `unsigned long`, as C has them in flags and bitmaps (`include/linux/bitops.h`).
//!
//! All are for any context. The functions that return the old bit order what stands before and behind them in the
//! source, the others order nothing; [`set_bit`] and its like are seen by all processors as one change. A bit that
//! nobody else can see is set by plain Rust: `flags |= 1 << nr`.

use core::ffi::c_ulong;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

/// How many bits a word has.
const BITS_PER_LONG: usize = c_ulong::BITS as usize;

/// The word with a bit, and the bit in it.
///
/// # Safety
///
/// `address` is of an array with such a bit, which stays in memory for `'a`.
#[inline(always)]
unsafe fn locate<'a>(nr: usize, address: *mut c_ulong) -> (&'a AtomicU64, u64) {
    // SAFETY: The caller has the array, of which others use words by atomic operations alone.
    let word = unsafe { AtomicU64::from_ptr(address.add(nr / BITS_PER_LONG)) };
    (word, 1 << (nr % BITS_PER_LONG))
}

/// Whether a bit is set (`test_bit`).
///
/// # Safety
///
/// `address` is of an array of words with the bit `nr`.
#[inline(always)]
#[must_use]
pub unsafe fn test_bit(nr: usize, address: *const c_ulong) -> bool {
    // SAFETY: The caller has the array; nothing is written.
    let (word, bit) = unsafe { locate(nr, address.cast_mut()) };
    word.load(Relaxed) & bit != 0
}

/// Sets a bit (`set_bit`).
///
/// # Safety
///
/// `address` is of an array of words with the bit `nr`, which may be written to.
#[inline(always)]
pub unsafe fn set_bit(nr: usize, address: *mut c_ulong) {
    // SAFETY: The caller has the array.
    let (word, bit) = unsafe { locate(nr, address) };
    word.fetch_or(bit, Relaxed);
}

/// Clears a bit (`clear_bit`).
///
/// # Safety
///
/// As for [`set_bit`].
#[inline(always)]
pub unsafe fn clear_bit(nr: usize, address: *mut c_ulong) {
    // SAFETY: The caller has the array.
    let (word, bit) = unsafe { locate(nr, address) };
    word.fetch_and(!bit, Relaxed);
}

/// Sets a bit (`test_and_set_bit`): whether it was set before.
///
/// # Safety
///
/// As for [`set_bit`].
#[inline(always)]
pub unsafe fn test_and_set_bit(nr: usize, address: *mut c_ulong) -> bool {
    // SAFETY: The caller has the array.
    let (word, bit) = unsafe { locate(nr, address) };
    word.fetch_or(bit, SeqCst) & bit != 0
}

/// Clears a bit (`test_and_clear_bit`): whether it was set before.
///
/// # Safety
///
/// As for [`set_bit`].
#[inline(always)]
pub unsafe fn test_and_clear_bit(nr: usize, address: *mut c_ulong) -> bool {
    // SAFETY: The caller has the array.
    let (word, bit) = unsafe { locate(nr, address) };
    word.fetch_and(!bit, SeqCst) & bit != 0
}
