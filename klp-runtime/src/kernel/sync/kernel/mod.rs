//! The kernel's own locks: those that stand in its structures.
//!
//! Each function takes a lock by pointer, as C does, and returns a [`Guard`] that gives it back where it is dropped.
//! A pointer to anything but such a lock does not compile. What the lock consists of, and what locking it compiles to,
//! is the target kernel's: a `spinlock_t` under `PREEMPT_RT` is locked as there.
//!
//! | in C | here |
//! | --- | --- |
//! | `spin_lock`, `spin_unlock` | [`spin_lock`], drop the guard |
//! | `spin_trylock` | [`spin_trylock`] |
//! | `spin_lock_bh`, `spin_unlock_bh` | [`spin_lock_bh`] |
//! | `spin_lock_irqsave`, `spin_unlock_irqrestore` | [`spin_lock_irqsave`] |
//! | `raw_spin_lock`, `raw_spin_lock_irqsave` | [`raw_spin_lock`], [`raw_spin_lock_irqsave`] |
//! | `read_lock`, `write_lock`, with `_bh` and `_irqsave` | [`read_lock`], [`write_lock`], [`read_lock_bh`], … |
//! | `mutex_lock`, `mutex_trylock`, `mutex_unlock` | [`mutex_lock`], [`mutex_trylock`] |
//! | `mutex_lock_interruptible`, `mutex_lock_killable` | [`mutex_lock_interruptible`], [`mutex_lock_killable`] |
//! | `down_read`, `down_write`, with `_trylock`; `up_read`, `up_write` | [`down_read`], [`down_write`], … |
//! | `lock_sock`, `release_sock` | [`lock_sock`] |
//! | `preempt_disable`, `local_bh_disable`, `local_irq_save` | [`preempt_disable`], [`local_bh_disable`], [`local_irq_save`] |
//! | `rcu_read_lock`, `rcu_read_unlock` | [`rcu::read_lock`](super::rcu::read_lock) |
//!
//! A lock of the patch's own is a [`Mutex`](super::Mutex) or a [`SpinLock`](super::SpinLock).
//!
//! ```
//! # #[cfg(any())] mod with_a_kernel {
//! use klp_runtime::prelude::*;
//! use klp_runtime::sync::kernel::spin_lock;
//!
//! kernel_types! {
//!     struct inode { i_lock, i_state }
//! }
//!
//! unsafe fn state(inode: *mut inode) -> u64 {
//!     // SAFETY: The caller keeps the inode, and its lock is held by nobody up the stack.
//!     unsafe {
//!         let _locked = spin_lock(&raw mut (*inode).i_lock);
//!         (*inode).i_state.into()
//!     }
//! }
//! # }
//! ```

mod context;
mod rw;

use core::ffi::c_ulong;
use core::fmt;
use core::marker::PhantomData;

use crate::error::{Result, to_result};
use crate::module::wrappers;
use crate::types::{Is, mutex, raw_spinlock, rw_semaphore, rwlock_t, sock, spinlock};

pub use context::{local_bh_disable, local_irq_save, preempt_disable};
pub use rw::{
    down_read, down_read_trylock, down_write, down_write_trylock, read_lock, read_lock_bh, read_lock_irqsave,
    write_lock, write_lock_bh, write_lock_irqsave,
};

/// How a lock was taken, and so how it is given back.
pub trait Backend: sealed::Backend {}

mod sealed {
    /// As the public one.
    pub trait Backend {
        /// What the lock consists of.
        type Lock;
        /// What giving it back needs to know.
        type State: Copy;

        /// Gives the lock back.
        ///
        /// # Safety
        ///
        /// It was taken this way, here, and `state` is from then.
        unsafe fn unlock(lock: *mut Self::Lock, state: Self::State);
    }
}

macro_rules! backends {
    ($($(#[$docs:meta])* $name:ident($lock:ty, $state:ty) = |$pointer:ident, $saved:ident| $unlock:expr;)*) => {$(
        $(#[$docs])*
        #[derive(Debug)]
        pub enum $name {}

        impl Backend for $name {}

        impl sealed::Backend for $name {
            type Lock = $lock;
            type State = $state;

            #[inline(always)]
            unsafe fn unlock($pointer: *mut $lock, $saved: $state) {
                // SAFETY: The caller has taken it this way.
                unsafe { $unlock }
            }
        }
    )*};
}

backends! {
    /// By [`spin_lock`].
    Spin(spinlock, ()) = |lock, _state| wrappers::klp_glue_kernel_spin_unlock(lock);
    /// By [`spin_lock_bh`].
    SpinBh(spinlock, ()) = |lock, _state| wrappers::klp_glue_kernel_spin_unlock_bh(lock);
    /// By [`spin_lock_irqsave`].
    SpinIrqsave(spinlock, c_ulong) = |lock, flags| wrappers::klp_glue_kernel_spin_unlock_irqrestore(lock, flags);
    /// By [`raw_spin_lock`].
    RawSpin(raw_spinlock, ()) = |lock, _state| wrappers::klp_glue_kernel_raw_spin_unlock(lock);
    /// By [`raw_spin_lock_irqsave`].
    RawSpinIrqsave(raw_spinlock, c_ulong) =
        |lock, flags| wrappers::klp_glue_kernel_raw_spin_unlock_irqrestore(lock, flags);
    /// By [`read_lock`].
    Read(rwlock_t, ()) = |lock, _state| wrappers::klp_glue_kernel_read_unlock(lock);
    /// By [`read_lock_bh`].
    ReadBh(rwlock_t, ()) = |lock, _state| wrappers::klp_glue_kernel_read_unlock_bh(lock);
    /// By [`read_lock_irqsave`].
    ReadIrqsave(rwlock_t, c_ulong) = |lock, flags| wrappers::klp_glue_kernel_read_unlock_irqrestore(lock, flags);
    /// By [`write_lock`].
    Write(rwlock_t, ()) = |lock, _state| wrappers::klp_glue_kernel_write_unlock(lock);
    /// By [`write_lock_bh`].
    WriteBh(rwlock_t, ()) = |lock, _state| wrappers::klp_glue_kernel_write_unlock_bh(lock);
    /// By [`write_lock_irqsave`].
    WriteIrqsave(rwlock_t, c_ulong) = |lock, flags| wrappers::klp_glue_kernel_write_unlock_irqrestore(lock, flags);
    /// By [`down_read`].
    ReadSemaphore(rw_semaphore, ()) = |lock, _state| wrappers::up_read(lock);
    /// By [`down_write`].
    WriteSemaphore(rw_semaphore, ()) = |lock, _state| wrappers::up_write(lock);
    /// By [`mutex_lock`].
    Mutex(mutex, ()) = |lock, _state| wrappers::klp_glue_kernel_mutex_unlock(lock);
    /// By [`lock_sock`].
    Sock(sock, ()) = |lock, _state| wrappers::release_sock(lock);
    /// By [`preempt_disable`], which locks nothing.
    Preemption((), ()) = |_none, _state| wrappers::klp_glue_preempt_enable();
    /// By [`local_bh_disable`], which locks nothing.
    Softirqs((), ()) = |_none, _state| wrappers::klp_glue_local_bh_enable();
    /// By [`local_irq_save`], which locks nothing.
    Interrupts((), c_ulong) = |_none, flags| wrappers::klp_glue_local_irq_restore(flags);
}

/// A lock of the kernel that is held, and given back when this is dropped: by the task, and for a spinlock on the
/// processor, that has taken it; or what is off on that processor, and on again then. Guards must be dropped in the reverse
/// order of their making where one of them is of [`local_irq_save`], [`spin_lock_irqsave`] or another `_irqsave`.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct Guard<B: Backend> {
    lock: *mut B::Lock,
    state: B::State,
    /// The kernel's rule: who locked it unlocks it.
    stays_in_its_task: PhantomData<*mut ()>,
}

impl<B: Backend> Guard<B> {
    #[inline(always)]
    fn new(lock: *mut B::Lock, state: B::State) -> Self {
        Self { lock, state, stays_in_its_task: PhantomData }
    }
}

impl<B: Backend> Drop for Guard<B> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: Who made the guard has taken the lock this way and keeps it in memory; the guard is still in the task.
        unsafe { B::unlock(self.lock, self.state) }
    }
}

impl<B: Backend> fmt::Debug for Guard<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.lock).finish()
    }
}

/// Takes a spinlock, waiting for it (`spin_lock`). Any context; while it is held, nothing may sleep. Only for a lock
/// that no interrupt and no softirq of this processor takes, or where those are off: else see [`spin_lock_irqsave`] and
/// [`spin_lock_bh`].
///
/// # Safety
///
/// `lock` is initialised, stays in memory until the guard is dropped, and is not held by this task or processor.
#[inline(always)]
pub unsafe fn spin_lock<L: Is<spinlock>>(lock: *mut L) -> Guard<Spin> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    unsafe { wrappers::klp_glue_kernel_spin_lock(lock) };
    Guard::new(lock, ())
}

/// Takes a spinlock if that needs no waiting (`spin_trylock`). Any context; while it is held, nothing may sleep.
///
/// # Safety
///
/// `lock` is initialised, and stays in memory until the guard is dropped.
#[inline(always)]
pub unsafe fn spin_trylock<L: Is<spinlock>>(lock: *mut L) -> Option<Guard<Spin>> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock.
    unsafe { wrappers::klp_glue_kernel_spin_trylock(lock) }.then(|| Guard::new(lock, ()))
}

/// Takes a spinlock, waiting for it, with softirqs off until it is given back (`spin_lock_bh`). Process context or
/// softirq, with interrupts on; while it is held, nothing may sleep.
///
/// # Safety
///
/// As for [`spin_lock`].
#[inline(always)]
pub unsafe fn spin_lock_bh<L: Is<spinlock>>(lock: *mut L) -> Guard<SpinBh> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    unsafe { wrappers::klp_glue_kernel_spin_lock_bh(lock) };
    Guard::new(lock, ())
}

/// Takes a spinlock, waiting for it, with interrupts off until it is given back, where they were on
/// (`spin_lock_irqsave`). Any context but a non-maskable interrupt; while it is held, nothing may sleep.
///
/// # Safety
///
/// As for [`spin_lock`]. Guards of an `_irqsave` that are held at once must be dropped in the reverse order
/// of their making: otherwise interrupts are on while one of these locks is held.
#[inline(always)]
pub unsafe fn spin_lock_irqsave<L: Is<spinlock>>(lock: *mut L) -> Guard<SpinIrqsave> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    let flags = unsafe { wrappers::klp_glue_kernel_spin_lock_irqsave(lock) };
    Guard::new(lock, flags)
}

/// Takes a raw spinlock, waiting for it (`raw_spin_lock`). Any context; while it is held, nothing may sleep.
///
/// # Safety
///
/// As for [`spin_lock`].
#[inline(always)]
pub unsafe fn raw_spin_lock<L: Is<raw_spinlock>>(lock: *mut L) -> Guard<RawSpin> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    unsafe { wrappers::klp_glue_kernel_raw_spin_lock(lock) };
    Guard::new(lock, ())
}

/// Takes a raw spinlock, waiting for it, with interrupts off until it is given back, where they were on
/// (`raw_spin_lock_irqsave`). Any context but a non-maskable interrupt; while it is held, nothing may sleep.
///
/// # Safety
///
/// As for [`spin_lock_irqsave`].
#[inline(always)]
pub unsafe fn raw_spin_lock_irqsave<L: Is<raw_spinlock>>(lock: *mut L) -> Guard<RawSpinIrqsave> {
    let lock = lock.cast();
    // SAFETY: The caller has a lock that may be taken here.
    let flags = unsafe { wrappers::klp_glue_kernel_raw_spin_lock_irqsave(lock) };
    Guard::new(lock, flags)
}

/// Takes a mutex, waiting for it (`mutex_lock`). May sleep: process context only.
///
/// # Safety
///
/// `lock` is initialised, stays in memory until the guard is dropped, and is not held by this task.
#[inline(always)]
pub unsafe fn mutex_lock<L: Is<mutex>>(lock: *mut L) -> Guard<Mutex> {
    let lock = lock.cast();
    // SAFETY: The caller has a mutex that may be taken here.
    unsafe { wrappers::klp_glue_kernel_mutex_lock(lock) };
    Guard::new(lock, ())
}

/// Takes a mutex, waiting for it until a signal comes (`mutex_lock_interruptible`). May sleep: process context only.
///
/// # Errors
///
/// `EINTR` where a signal came.
///
/// # Safety
///
/// As for [`mutex_lock`].
#[inline(always)]
pub unsafe fn mutex_lock_interruptible<L: Is<mutex>>(lock: *mut L) -> Result<Guard<Mutex>> {
    let lock = lock.cast();
    // SAFETY: The caller has a mutex that may be taken here.
    to_result(unsafe { wrappers::klp_glue_kernel_mutex_lock_interruptible(lock) })?;
    Ok(Guard::new(lock, ()))
}

/// Takes a mutex, waiting for it until a signal comes that ends the process (`mutex_lock_killable`). May sleep: process
/// context only.
///
/// # Errors
///
/// `EINTR` where such a signal came.
///
/// # Safety
///
/// As for [`mutex_lock`].
#[inline(always)]
pub unsafe fn mutex_lock_killable<L: Is<mutex>>(lock: *mut L) -> Result<Guard<Mutex>> {
    let lock = lock.cast();
    // SAFETY: The caller has a mutex that may be taken here.
    to_result(unsafe { wrappers::klp_glue_kernel_mutex_lock_killable(lock) })?;
    Ok(Guard::new(lock, ()))
}

/// Takes a mutex if that needs no waiting (`mutex_trylock`). Process context only, though it does not sleep.
///
/// # Safety
///
/// `lock` is initialised, and stays in memory until the guard is dropped.
#[inline(always)]
pub unsafe fn mutex_trylock<L: Is<mutex>>(lock: *mut L) -> Option<Guard<Mutex>> {
    let lock = lock.cast();
    // SAFETY: The caller has a mutex.
    unsafe { wrappers::klp_glue_kernel_mutex_trylock(lock) }.then(|| Guard::new(lock, ()))
}

/// Takes a socket, waiting for it (`lock_sock`). May sleep: process context only. What arrives for the socket meanwhile
/// waits in its backlog, which is worked off when the guard is dropped; that may sleep, too.
///
/// # Safety
///
/// The caller has a reference to the socket until the guard is dropped, and this task does not hold the socket.
#[inline(always)]
pub unsafe fn lock_sock<S: Is<sock>>(sock: *mut S) -> Guard<Sock> {
    let sock = sock.cast();
    // SAFETY: The caller has a socket that may be taken here.
    unsafe { wrappers::lock_sock_nested(sock, 0) };
    Guard::new(sock, ())
}
