//! The kernel's counts of references: `refcount_t` and `struct kref`.
//!
//! | in C | here |
//! | --- | --- |
//! | `refcount_inc(&x->refs)` | `Refcount::from_raw(&raw mut (*x).refs).inc()` |
//! | `refcount_read`, `_set`, `_add`, `_inc_not_zero`, `_dec`, `_dec_and_test`, `_sub_and_test` | methods of [`Refcount`], by the same names |
//! | `kref_get(&x->ref)`, `kref_get_unless_zero`, `kref_read` | `Refcount::from_kref(&raw mut (*x).ref).inc()`, … |
//! | `if (refcount_dec_and_test(&x->refs)) free(x)`, `kref_put(&x->ref, free)` | `if count.dec_and_test() { free(x) }` |
//!
//! A count that would wrap, or would rise from 0, stays at a high value and is reported in the log, by the kernel's own
//! function: what it counts is leaked rather than freed while it is used.

use core::ffi::c_int;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicI32, fence};

use crate::module::wrappers;
use crate::types::{Is, kref, refcount_struct};

/// `enum refcount_saturation_type`: what went wrong with a count.
#[derive(Clone, Copy)]
enum Saturation {
    AddNotZeroOverflow = 0,
    AddOverflow = 1,
    AddUseAfterFree = 2,
    SubUseAfterFree = 3,
    DecLeak = 4,
}

/// A `refcount_t` of the kernel.
#[repr(transparent)]
#[derive(Debug)]
pub struct Refcount(AtomicI32);

impl Refcount {
    /// The count at a place. Any context.
    ///
    /// # Safety
    ///
    /// `count` is initialised, and stays in memory for `'a`; where [`dec_and_test`](Self::dec_and_test) gives the
    /// caller's reference up, until then. Whoever changes it keeps its balance: one reference given up for each that
    /// was taken or handed over.
    #[inline(always)]
    pub unsafe fn from_raw<'a, R: Is<refcount_struct>>(count: *mut R) -> &'a Self {
        // SAFETY: The caller has a `refcount_t`, which is an `atomic_t`, which is an aligned `int`.
        unsafe { &*count.cast() }
    }

    /// The count that a `kref` consists of. Any context.
    ///
    /// # Safety
    ///
    /// As for [`from_raw`](Self::from_raw).
    #[inline(always)]
    pub unsafe fn from_kref<'a, R: Is<kref>>(kref: *mut R) -> &'a Self {
        // SAFETY: The caller has a `struct kref`, which is a `refcount_t`, which is an aligned `int`.
        unsafe { &*kref.cast() }
    }

    /// How many references there are (`refcount_read`).
    #[inline(always)]
    #[must_use]
    pub fn read(&self) -> i32 {
        self.0.load(Relaxed)
    }

    /// Sets the count (`refcount_set`): of an object that others do not have yet.
    #[inline(always)]
    pub fn set(&self, count: i32) {
        self.0.store(count, Relaxed);
    }

    /// One more (`refcount_inc`): the caller has one already.
    #[inline(always)]
    pub fn inc(&self) {
        self.add(1);
    }

    /// So many more (`refcount_add`): the caller has one already.
    #[inline(always)]
    pub fn add(&self, count: i32) {
        let old = self.0.fetch_add(count, Relaxed);
        if old == 0 {
            self.report(Saturation::AddUseAfterFree);
        } else if old < 0 || old.wrapping_add(count) < 0 {
            self.report(Saturation::AddOverflow);
        }
    }

    /// One more, unless there is none (`refcount_inc_not_zero`): whether the caller has one now.
    #[inline(always)]
    #[must_use = "where it is false the object is gone"]
    pub fn inc_not_zero(&self) -> bool {
        let mut old = self.read();
        loop {
            if old == 0 {
                return false;
            }
            match self.0.compare_exchange_weak(old, old.wrapping_add(1), Relaxed, Relaxed) {
                Ok(_) => break,
                Err(other) => old = other,
            }
        }
        if old < 0 || old.wrapping_add(1) < 0 {
            self.report(Saturation::AddNotZeroOverflow);
        }
        true
    }

    /// One less, which is not the last (`refcount_dec`).
    #[inline(always)]
    pub fn dec(&self) {
        if self.0.fetch_sub(1, Release) <= 1 {
            self.report(Saturation::DecLeak);
        }
    }

    /// One less (`refcount_dec_and_test`, and the test of `kref_put`): whether it was the last, so that the caller frees
    /// the object.
    #[inline(always)]
    #[must_use = "who gives the last reference up frees the object"]
    pub fn dec_and_test(&self) -> bool {
        self.sub_and_test(1)
    }

    /// So many less (`refcount_sub_and_test`): whether they were the last, so that the caller frees the object.
    #[inline(always)]
    #[must_use = "who gives the last reference up frees the object"]
    pub fn sub_and_test(&self, count: i32) -> bool {
        let old = self.0.fetch_sub(count, Release);
        if old > 0 && old == count {
            fence(Acquire);
            return true;
        }
        if old <= 0 || old.wrapping_sub(count) < 0 {
            self.report(Saturation::SubUseAfterFree);
        }
        false
    }

    /// Has the kernel report what is wrong, and keep the count where it is.
    #[cold]
    #[inline(never)]
    fn report(&self, what: Saturation) {
        // SAFETY: A count of the kernel; it is reported once for each kind.
        unsafe { wrappers::refcount_warn_saturate(self.0.as_ptr().cast(), what as c_int) };
    }
}
