//! Memory of which each processor has its own: `__percpu`.
//!
//! | in C | here |
//! | --- | --- |
//! | `this_cpu_ptr(pointer)` | [`PerCpuPtr::this_cpu`] |
//! | `per_cpu_ptr(pointer, cpu)` | [`PerCpuPtr::cpu`] |
//!
//! Where a kernel's BTF does not say that a field is such a pointer, the author does:
//!
//! ```
//! # #[cfg(any())] mod with_a_kernel {
//! use klp_runtime::prelude::*;
//!
//! kernel_types! {
//!     struct net_device { pcpu_refcnt: __percpu }
//! }
//!
//! unsafe fn references(device: *const net_device, cpu: c_uint) -> c_int {
//!     // SAFETY: The caller has the device, and a processor that this machine may have.
//!     unsafe { (*device).pcpu_refcnt.cpu(cpu).read() }
//! }
//! # }
//! ```

use core::ffi::c_uint;

use crate::alloc::Zeroable;
use crate::module::wrappers;
use crate::sync::rcu::Pointer;

/// A pointer into each processor's own memory: an offset, which is nobody's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct PerCpuPtr<P: Pointer>(P);

// SAFETY: The null pointer.
unsafe impl<P: Pointer> Zeroable for PerCpuPtr<P> {}

impl<P: Pointer> PerCpuPtr<P> {
    /// The one that a plain pointer is, such as that to a symbol of a per-CPU variable.
    #[must_use]
    pub const fn from_raw(pointer: P) -> Self {
        Self(pointer)
    }

    /// What it points to on this processor (`this_cpu_ptr`). Where the task must not go on elsewhere, that is in a
    /// spinlock or with preemption off.
    ///
    /// # Safety
    ///
    /// It points to per-CPU memory.
    #[inline(always)]
    #[must_use]
    pub unsafe fn this_cpu(self) -> P {
        // SAFETY: The caller has such a pointer.
        self.0.with_address(unsafe { wrappers::klp_glue_this_cpu_ptr(self.0.address().cast()) }.cast())
    }

    /// What it points to on a processor (`per_cpu_ptr`). Any context.
    ///
    /// # Safety
    ///
    /// It points to per-CPU memory, and the machine may have this processor.
    #[inline(always)]
    #[must_use]
    pub unsafe fn cpu(self, cpu: c_uint) -> P {
        // SAFETY: The caller has such a pointer and such a processor.
        self.0.with_address(unsafe { wrappers::klp_glue_per_cpu_ptr(self.0.address().cast(), cpu) }.cast())
    }
}
