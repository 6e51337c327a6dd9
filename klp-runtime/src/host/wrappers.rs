//! What is wrapped of the kernel ([`crate::module::wrappers`]), as the host has it.

use core::cell::RefCell;
use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::collections::HashMap;
use std::string::String;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::vec::Vec;

use super::{kfree, klp_glue_jiffies, klp_glue_kmalloc, klp_glue_msecs_to_jiffies, machine};
use crate::alloc::{GFP_ATOMIC, GFP_NOWAIT};
use crate::module::sys::RawGfp;
use crate::types::{callback_head, device, mutex, net_device, raw_spinlock, refcount_struct, sock, spinlock};

pub(crate) use super::lists::*;
pub(crate) use super::rw_locks::*;

/// The kernel's own locks that are held, by address, each with its owner.
static HELD: Mutex<Option<HashMap<usize, ThreadId>>> = Mutex::new(None);
/// One of them was given back.
static RELEASED: Condvar = Condvar::new();

type Held = MutexGuard<'static, Option<HashMap<usize, ThreadId>>>;

fn held() -> Held {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a lock if nobody has it.
fn try_lock(held: &mut Held, lock: usize) -> bool {
    let held = held.get_or_insert_default();
    let is_free = !held.contains_key(&lock);
    if is_free {
        held.insert(lock, thread::current().id());
    }
    is_free
}

fn lock(lock: usize) {
    let mut held = held();
    while !try_lock(&mut held, lock) {
        let owner = held.as_ref().and_then(|held| held.get(&lock));
        assert_ne!(owner, Some(&thread::current().id()), "deadlock: a task has locked a lock twice");
        held = RELEASED.wait(held).unwrap_or_else(PoisonError::into_inner);
    }
}

fn unlock(lock: usize) {
    let owner = held().get_or_insert_default().remove(&lock);
    if owner != Some(thread::current().id()) {
        machine().fault("a lock was given back that this task does not hold");
    }
    RELEASED.notify_all();
}

pub(crate) fn sleeps(what: &str) {
    if machine().is_atomic() {
        machine().fault(format_args!("{what} in atomic context"));
    }
}

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_spin_lock(spinlock: *mut spinlock) {
    lock(spinlock as usize);
    machine().spinlocks.update(|locked| locked + 1);
}

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_spin_trylock(spinlock: *mut spinlock) -> bool {
    let taken = try_lock(&mut held(), spinlock as usize);
    machine().spinlocks.update(|locked| locked + u32::from(taken));
    taken
}

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_spin_unlock(spinlock: *mut spinlock) {
    unlock(spinlock as usize);
    machine().spinlocks.update(|locked| locked.saturating_sub(1));
}

pub(crate) use klp_glue_kernel_spin_lock as klp_glue_kernel_spin_lock_bh;
pub(crate) use klp_glue_kernel_spin_unlock as klp_glue_kernel_spin_unlock_bh;

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_spin_lock_irqsave(spinlock: *mut spinlock) -> c_ulong {
    // SAFETY: It asks for nothing.
    unsafe { klp_glue_kernel_spin_lock(spinlock) };
    0
}

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_spin_unlock_irqrestore(spinlock: *mut spinlock, _flags: c_ulong) {
    // SAFETY: It asks for nothing.
    unsafe { klp_glue_kernel_spin_unlock(spinlock) };
}

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_raw_spin_lock(lock: *mut raw_spinlock) {
    // SAFETY: It asks for nothing.
    unsafe { klp_glue_kernel_spin_lock(lock.cast()) };
}

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_raw_spin_unlock(lock: *mut raw_spinlock) {
    // SAFETY: It asks for nothing.
    unsafe { klp_glue_kernel_spin_unlock(lock.cast()) };
}

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_raw_spin_lock_irqsave(lock: *mut raw_spinlock) -> c_ulong {
    // SAFETY: It asks for nothing.
    unsafe { klp_glue_kernel_spin_lock_irqsave(lock.cast()) }
}

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_raw_spin_unlock_irqrestore(lock: *mut raw_spinlock, flags: c_ulong) {
    // SAFETY: It asks for nothing.
    unsafe { klp_glue_kernel_spin_unlock_irqrestore(lock.cast(), flags) };
}

/// No signal comes.
///
/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_mutex_lock_interruptible(mutex: *mut mutex) -> c_int {
    // SAFETY: It asks for nothing.
    unsafe { klp_glue_kernel_mutex_lock(mutex) };
    0
}

pub(crate) use klp_glue_kernel_mutex_lock_interruptible as klp_glue_kernel_mutex_lock_killable;

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_mutex_lock(mutex: *mut mutex) {
    sleeps("a mutex was locked");
    lock(mutex as usize);
}

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_mutex_trylock(mutex: *mut mutex) -> bool {
    try_lock(&mut held(), mutex as usize)
}

/// # Safety
///
/// None: the lock is known by its address.
pub(crate) unsafe fn klp_glue_kernel_mutex_unlock(mutex: *mut mutex) {
    unlock(mutex as usize);
}

/// # Safety
///
/// None: the socket is known by its address.
pub(crate) unsafe fn lock_sock_nested(sock: *mut sock, _subclass: c_int) {
    sleeps("a socket was locked");
    lock(sock as usize);
}

/// # Safety
///
/// None: the socket is known by its address.
pub(crate) unsafe fn release_sock(sock: *mut sock) {
    unlock(sock as usize);
}

pub(crate) fn klp_glue_preempt_disable() {
    machine().held_up.update(|number| number + 1);
}

/// # Safety
///
/// As the kernel's `preempt_enable`.
pub(crate) unsafe fn klp_glue_preempt_enable() {
    machine().held_up.update(|number| number.saturating_sub(1));
}

pub(crate) use klp_glue_preempt_disable as klp_glue_local_bh_disable;
pub(crate) use klp_glue_preempt_enable as klp_glue_local_bh_enable;

pub(crate) fn klp_glue_local_irq_save() -> c_ulong {
    klp_glue_preempt_disable();
    0
}

/// # Safety
///
/// As the kernel's `local_irq_restore`.
pub(crate) unsafe fn klp_glue_local_irq_restore(_flags: c_ulong) {
    // SAFETY: The caller has turned them off.
    unsafe { klp_glue_preempt_enable() };
}

pub(crate) fn klp_glue_rcu_read_lock() {
    machine().read_sides.update(|sides| sides + 1);
}

/// # Safety
///
/// As the kernel's `rcu_read_unlock`.
pub(crate) unsafe fn klp_glue_rcu_read_unlock() {
    machine().read_sides.update(|sides| sides.saturating_sub(1));
    free_without_readers();
}

/// What waits for the end of the thread's read sides to be freed.
struct Waiting(Vec<*mut c_void>);

std::thread_local! {
    static WAITING: RefCell<Waiting> = const { RefCell::new(Waiting(Vec::new())) };
}

/// Frees what waits, unless a read side is left.
fn free_without_readers() {
    if machine().read_sides.get() == 0 {
        let waiting = WAITING.with_borrow_mut(|waiting| core::mem::take(&mut waiting.0));
        // SAFETY: Who had it wait has given it up.
        waiting.into_iter().for_each(|object| unsafe { kfree(object) });
    }
}

/// # Safety
///
/// As the kernel's `kfree_rcu`.
pub(crate) unsafe fn klp_glue_kfree_rcu(_head: *mut callback_head, object: *mut c_void) {
    WAITING.with_borrow_mut(|waiting| waiting.0.push(object));
    free_without_readers();
}

pub(crate) fn klp_glue_synchronize_rcu() {
    sleeps("a grace period was waited for");
}

/// Logs what [`crate::log`] prints about a device, without the level and the device.
///
/// # Safety
///
/// The text has `len` bytes.
pub(crate) unsafe fn _dev_printk(
    _level: *const c_char,
    _device: *const device,
    _format: *const c_char,
    len: c_int,
    text: *const u8,
) {
    // SAFETY: The caller has the text.
    let text = unsafe { core::slice::from_raw_parts(text, usize::try_from(len).unwrap_or(0)) };
    machine().print(String::from_utf8_lossy(text).into_owned());
}

/// As [`_dev_printk`].
///
/// # Safety
///
/// The text has `len` bytes.
pub(crate) unsafe fn netdev_printk(
    level: *const c_char,
    device: *const net_device,
    format: *const c_char,
    len: c_int,
    text: *const u8,
) {
    // SAFETY: The caller has the text.
    unsafe { _dev_printk(level, device.cast(), format, len, text) }
}

/// # Safety
///
/// As the kernel's: `count` is a `refcount_t`.
pub(crate) unsafe fn refcount_warn_saturate(count: *mut refcount_struct, kind: c_int) {
    /// `REFCOUNT_SATURATED`.
    const SATURATED: c_int = c_int::MIN / 2;
    const KINDS: [&str; 5] = [
        "saturated; leaking memory",
        "saturated; leaking memory",
        "addition on 0; use-after-free",
        "underflow; use-after-free",
        "decrement hit 0; leaking memory",
    ];
    // SAFETY: The caller has the count, which is an `int`.
    unsafe { count.cast::<c_int>().write(SATURATED) };
    let kind = usize::try_from(kind).ok().and_then(|kind| KINDS.get(kind));
    machine().print(std::format!("refcount_t: {}.", kind.unwrap_or(&"unknown")));
}

/// # Safety
///
/// Both are strings.
pub(crate) unsafe fn klp_glue_warn(place: *const c_char, condition: *const c_char) {
    // SAFETY: The caller has the strings.
    let [place, condition] = unsafe { [place, condition].map(|text| CStr::from_ptr(text).to_string_lossy()) };
    machine().print(std::format!("{place}: {condition}"));
}

/// The host is one processor.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn klp_glue_this_cpu_ptr(pointer: *mut c_void) -> *mut c_void {
    pointer
}

/// As [`klp_glue_this_cpu_ptr`].
///
/// # Safety
///
/// None.
pub(crate) unsafe fn klp_glue_per_cpu_ptr(pointer: *mut c_void, cpu: c_uint) -> *mut c_void {
    if cpu != 0 {
        machine().fault("the memory of a processor was used that the host does not have");
    }
    pointer
}

/// # Safety
///
/// None.
pub(crate) unsafe fn klp_glue_kvmalloc(size: usize, gfp: RawGfp) -> *mut c_void {
    if gfp == GFP_ATOMIC.raw() || gfp == GFP_NOWAIT.raw() {
        machine().fault("kvmalloc was called with flags that may not sleep");
    }
    // SAFETY: It asks for nothing.
    unsafe { klp_glue_kmalloc(size, gfp) }
}

/// # Safety
///
/// As the kernel's.
pub(crate) unsafe fn kvfree(memory: *mut c_void) {
    sleeps("memory of kvmalloc was given back");
    // SAFETY: The caller gives the memory up.
    unsafe { kfree(memory) }
}

/// The process is this one, and has the memory.
///
/// # Safety
///
/// As the kernel's, and `from` is of `len` bytes.
pub(crate) unsafe fn klp_glue_copy_from_user(to: *mut c_void, from: *const c_void, len: usize) -> usize {
    sleeps("memory of a process was read");
    // SAFETY: The caller has both.
    unsafe { from.cast::<u8>().copy_to(to.cast(), len) };
    0
}

/// The process is this one, and has the memory.
///
/// # Safety
///
/// As the kernel's, and `to` is of `len` bytes.
pub(crate) unsafe fn klp_glue_copy_to_user(to: *mut c_void, from: *const c_void, len: usize) -> usize {
    sleeps("memory of a process was written");
    // SAFETY: The caller has both.
    unsafe { from.cast::<u8>().copy_to(to.cast(), len) };
    0
}

/// # Safety
///
/// As [`klp_glue_copy_from_user`].
pub(crate) unsafe fn klp_glue_get_user(to: *mut c_void, from: *const c_void, size: usize) -> bool {
    // SAFETY: The caller has both.
    unsafe { klp_glue_copy_from_user(to, from, size) == 0 }
}

/// # Safety
///
/// As [`klp_glue_copy_to_user`].
pub(crate) unsafe fn klp_glue_put_user(to: *mut c_void, from: *const c_void, size: usize) -> bool {
    // SAFETY: The caller has both.
    unsafe { klp_glue_copy_to_user(to, from, size) == 0 }
}

/// The process is this one, and has the string.
///
/// # Safety
///
/// As the kernel's, and `from` is of `len` bytes or has a NUL before.
pub(crate) unsafe fn strncpy_from_user(to: *mut c_char, from: *const c_char, len: c_long) -> c_long {
    sleeps("memory of a process was read");
    for index in 0..usize::try_from(len).unwrap_or(0) {
        // SAFETY: The caller has both, and there was no NUL so far.
        let letter = unsafe { from.add(index).read() };
        // SAFETY: The caller has the room.
        unsafe { to.add(index).write(letter) };
        if letter == 0 {
            return index as c_long;
        }
    }
    len
}

/// Nobody limits the host.
pub(crate) fn net_ratelimit() -> c_int {
    1
}

/// As `module::wrappers` has it: when its time began, how many have passed since, and how many have not.
pub(crate) struct RawRatelimit(Mutex<Option<(c_ulong, u32, u32)>>);

impl RawRatelimit {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn is_allowed(&'static self, name: &CStr) -> bool {
        const INTERVAL: u32 = 5_000;
        const BURST: u32 = 10;
        let now = klp_glue_jiffies();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, passed, missed) = state.get_or_insert((now, 0, 0));
        if now - *begun > klp_glue_msecs_to_jiffies(INTERVAL) {
            if *missed > 0 {
                machine().print(std::format!("{}: {missed} callbacks suppressed", name.to_string_lossy()));
            }
            (*begun, *passed, *missed) = (now, 0, 0);
        }
        let is_allowed = *passed < BURST;
        *(if is_allowed { passed } else { missed }) += 1;
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::{machine, mutex, sock, spinlock};
    use crate::alloc::{GFP_KERNEL, GFP_KERNEL_ACCOUNT, KBox, KVBox};
    use crate::sync::kernel::{
        local_bh_disable, local_irq_save, lock_sock, mutex_lock, mutex_trylock, preempt_disable, spin_lock,
        spin_lock_bh, spin_lock_irqsave, spin_trylock,
    };
    use crate::sync::rcu;

    /// Somewhere for a lock to be.
    fn address<T>() -> *mut T {
        static HERE: u64 = 0;
        let here = &raw const HERE;
        here.cast_mut().cast()
    }

    #[test]
    fn what_sleeps_under_a_lock_of_the_kernel_or_in_a_read_side_is_a_fault() {
        let (spin, mutex, sock) = (address::<spinlock>(), address::<mutex>(), address::<sock>());
        // SAFETY: On the host a lock is its address, and here one at a time is held.
        unsafe {
            for _ in 0..2 {
                drop(spin_lock(spin));
                drop(spin_lock_bh(spin));
                drop(spin_lock_irqsave(spin));
                drop(mutex_lock(mutex));
                drop(lock_sock(sock));
            }
            assert_eq!(machine().take_faults(), Vec::<&str>::new());
            let held = spin_trylock(spin);
            assert!(held.is_some() && spin_trylock(spin).is_none() && mutex_trylock(mutex).is_none());
            drop(KBox::new(1, GFP_KERNEL));
            drop(held);
            let read = rcu::read_lock();
            drop(KBox::new(1, GFP_KERNEL));
            drop(mutex_lock(mutex));
            rcu::synchronize_rcu();
            drop(read);
            rcu::synchronize_rcu();
            drop(mutex_trylock(mutex).unwrap());
        }
        assert_eq!(
            machine().take_faults(),
            [
                "an allocation that may sleep was made under a spinlock",
                "an allocation that may sleep was made in a read side of RCU",
                "a mutex was locked in atomic context",
                "a grace period was waited for in atomic context",
            ]
        );
    }

    #[test]
    fn what_sleeps_where_something_is_off_is_a_fault() {
        let allocate = || drop(KBox::new(1, GFP_KERNEL_ACCOUNT));
        let preemption = preempt_disable();
        allocate();
        let softirqs = local_bh_disable();
        drop(preemption);
        rcu::synchronize_rcu();
        drop(softirqs);
        // SAFETY: No other guard turns interrupts off.
        let interrupts = unsafe { local_irq_save() };
        allocate();
        drop(interrupts);
        allocate();
        let table = KVBox::<[u64]>::zeroed(10, GFP_KERNEL).unwrap();
        let read = rcu::read_lock();
        drop(table);
        drop(read);
        drop(KVBox::new(1, GFP_KERNEL));
        let allocation = "an allocation that may sleep was made with preemption, softirqs or interrupts off";
        assert_eq!(
            machine().take_faults(),
            [
                allocation,
                "a grace period was waited for in atomic context",
                allocation,
                "memory of kvmalloc was given back in atomic context",
            ]
        );
    }

    #[test]
    fn a_pointer_is_replaced_and_read() {
        let (one, two) = (1, 2);
        let mut place: *const i32 = &raw const one;
        // SAFETY: The place holds a pointer, and nobody else uses it.
        unsafe {
            rcu::assign_pointer(&raw mut place, &raw const two);
            let read = rcu::read_lock();
            assert_eq!(*read.dereference(&raw const place), 2);
        }
    }

    #[test]
    fn messages_once_limited_and_about_devices() {
        let device = address::<crate::types::device>();
        let net_device = address::<crate::types::net_device>();
        for number in 0..12 {
            crate::pr_info_once!("once {number}");
            crate::pr_warn_ratelimited!("limited {number}");
            assert!(crate::warn_on_once!(number != 12));
        }
        crate::work::advance(core::time::Duration::from_secs(6));
        crate::pr_warn_ratelimited!("another place");
        // SAFETY: The host does not look at the devices.
        unsafe {
            crate::dev_err!(device, "lost {}", 1);
            crate::netdev_dbg!(net_device, "lost");
        }
        let log = machine().take_log();
        assert_eq!(log[..3], ["klp_runtime: once 0", "klp_runtime: limited 0", &log[2]]);
        assert!(log[2].contains("wrappers.rs:") && log[2].ends_with(": number != 12"), "{}", log[2]);
        assert_eq!(log[11], "klp_runtime: limited 9");
        assert_eq!(log[12..], ["klp_runtime: another place", "lost 1", "lost"]);
    }
}
