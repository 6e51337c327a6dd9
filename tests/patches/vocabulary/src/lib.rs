//! What works on the kernel's own structures, each once, while a process reads `/proc/version`.
#![no_std]

use core::sync::atomic::Ordering::Relaxed;

use klp_runtime::alloc::KVBox;
use klp_runtime::interop::list::{init_list_head, list_add, list_add_tail, list_del, list_empty};
use klp_runtime::jump_label::static_key_enabled;
use klp_runtime::prelude::*;
use klp_runtime::sync::kernel::{
    down_read, down_read_trylock, down_write, down_write_trylock, local_bh_disable, local_irq_save,
    lock_sock, mutex_lock_interruptible, mutex_lock_killable, mutex_trylock, preempt_disable,
    raw_spin_lock_irqsave, read_lock, read_lock_bh, read_lock_irqsave, spin_lock, spin_lock_bh,
    spin_lock_irqsave, spin_trylock, write_lock, write_lock_bh, write_lock_irqsave,
};
use klp_runtime::sync::{Refcount, atomic, rcu};
use klp_runtime::uaccess::{UserPtr, UserSlice};
use klp_test_support::test_patch;

test_patch!(replace: false);

kernel_types! {
    struct seq_file { lock, file }
    struct file { f_inode }
    struct inode { i_lock, i_count }
    struct task_struct { mm, signal, pi_lock, real_parent: __rcu, tgid }
    struct signal_struct { cred_guard_mutex }
    struct mm_struct { arg_start, mmap_lock }
    struct callback_head;
    struct sock { sk_callback_lock }
    struct net { passive, dev_base_head, dev_index_head, loopback_dev, core }
    struct netns_core { prot_inuse: __percpu }
    struct prot_inuse { all }
    struct net_device { dev_list, index_hlist, ifindex, dev }
    struct device { kobj }
    struct kobject { kref }
    struct socket { sk }
    struct hlist_head;
    struct hlist_nulls_head;
    struct inet_hashinfo { ehash, ehash_mask }
    struct inet_ehash_bucket { chain }
    struct sock_common { skc_nulls_node, skc_family }
    struct static_key_false;
    fn seq_printf;
    fn filp_open;
    fn sock_create_kern;
    fn sock_release;
}

unsafe extern "C" {
    static mut init_net: net;
    static bpf_stats_enabled_key: static_key_false;
    static init_on_free: static_key_false;
}

// ANCHOR: export
// 6.1 exports it, 6.12 does not.
#[cfg_attr(not(kernel_has = "export tcp_hashinfo"), klp_symbols)]
unsafe extern "C" {
    static tcp_hashinfo: inet_hashinfo;
}
// ANCHOR_END: export

/// Is false, and says so, where something is not as it must be.
macro_rules! check {
    ($($condition:expr),* $(,)?) => {$(
        if !$condition {
            pr_err!("not so: {}", stringify!($condition));
        }
    )*};
}

// ANCHOR: locks
/// Locks of a file that is being read.
///
/// # Safety
///
/// It is this task that reads it.
unsafe fn locks(m: *mut seq_file) {
    // SAFETY: The file keeps its inode; who reads it holds the mutex of its position in the file.
    unsafe {
        check!(mutex_trylock(&raw mut (*m).lock).is_none());
        let inode = (*(*m).file).f_inode;
        let lock = &raw mut (*inode).i_lock;
        let held = spin_lock(lock);
        check!(spin_trylock(lock).is_none());
        drop(held);
        drop(spin_lock_bh(lock));
        drop(spin_lock_irqsave(lock));
        check!(spin_trylock(lock).is_some(), atomic(&raw mut (*inode).i_count).load(Relaxed) > 0);
    }
}
// ANCHOR_END: locks

/// A socket is locked and given back.
fn socket() -> Result {
    // Every kernel with a network has these.
    const AF_NETLINK: c_int = 16;
    const SOCK_RAW: c_int = 3;
    let mut socket = core::ptr::null_mut::<socket>();
    // SAFETY: The initial namespace stays; the socket is this function's.
    unsafe {
        to_result(sock_create_kern(&raw mut init_net, AF_NETLINK, SOCK_RAW, 0, &raw mut socket))?;
        drop(lock_sock((*socket).sk));
        drop(lock_sock((*socket).sk));
        let lock = &raw mut (*(*socket).sk).sk_callback_lock;
        drop(read_lock(lock));
        drop(read_lock_bh(lock));
        drop(read_lock_irqsave(lock));
        drop(write_lock(lock));
        drop(write_lock_bh(lock));
        drop(write_lock_irqsave(lock));
        sock_release(socket);
    }
    Ok(())
}

// ANCHOR: own_locks
/// Locks of this task and its memory.
fn own_locks() -> Result {
    let this = current();
    // SAFETY: The task runs this, has memory, and holds none of these locks.
    unsafe {
        // The scheduler takes it with interrupts off.
        drop(raw_spin_lock_irqsave(&raw mut (*this).pi_lock));
        let mutex = &raw mut (*(*this).signal).cred_guard_mutex;
        let held = mutex_lock_interruptible(mutex)?;
        check!(mutex_trylock(mutex).is_none());
        drop(held);
        drop(mutex_lock_killable(mutex)?);
        let semaphore = &raw mut (*(*this).mm).mmap_lock;
        let held = down_read(semaphore);
        check!(down_write_trylock(semaphore).is_none(), down_read_trylock(semaphore).is_some());
        drop(held);
        let held = down_write(semaphore);
        check!(down_read_trylock(semaphore).is_none());
        drop(held);
        check!(down_write_trylock(semaphore).is_some());
    }
    Ok(())
}
// ANCHOR_END: own_locks

/// An object that readers may use until all of them are gone.
#[repr(C)]
struct Replaced {
    number: u64,
    head: callback_head,
}

fn replaced() -> Result {
    let object = KBox::new(Replaced { number: 7, head: callback_head::default() }, GFP_KERNEL)?.into_raw();
    let read = rcu::read_lock();
    // SAFETY: The object is from `kmalloc`, and only this function has it.
    unsafe {
        kfree_rcu!(object, Replaced, head);
        check!((*object).number == 7);
    }
    drop(read);
    Ok(())
}

/// The loopback device, by the list of devices and by the table of their numbers.
fn devices() {
    let read = rcu::read_lock();
    // SAFETY: The initial namespace and its loopback device stay; others of its devices are freed by RCU.
    unsafe {
        let net = &raw mut init_net;
        let loopback = read_once(&raw const (*net).loopback_dev);
        let listed = clist_create!(&raw mut (*net).dev_base_head, net_device, dev_list);
        check!(!listed.is_empty(), listed.iter_rcu(&read).any(|device| device == loopback));
        let bucket = (*net).dev_index_head.add((*loopback).ifindex as usize & 255);
        let chain = chlist_create!(bucket, net_device, index_hlist);
        check!(chain.iter_rcu(&read).any(|device| device == loopback));
        let device = &raw mut (*loopback).dev;
        check!(container_of!(device, net_device, dev) == loopback);

        let count = Refcount::from_kref(&raw mut (*device).kobj.kref);
        let before = count.read();
        count.inc();
        check!(count.inc_not_zero(), count.read() >= before + 2, !count.dec_and_test());
        count.dec();
        check!(Refcount::from_raw(&raw mut (*net).passive).read() > 0);
        // The test has one processor, `cargo klp run` two.
        // ANCHOR: per_cpu
        let counts = (*net).core.prot_inuse;
        // Without preemption: this task would be on another processor meanwhile.
        let held = raw_spin_lock_irqsave(&raw mut (*current()).pi_lock);
        let here = counts.this_cpu();
        drop(held);
        // A processor may have counted more sockets away than made.
        check!((0..2).any(|cpu| counts.cpu(cpu) == here), (*here).all.unsigned_abs() < 1 << 16);
        // ANCHOR_END: per_cpu
        let this = current();
        check!((*read.dereference(&raw const (*this).real_parent)).tgid > 0);
        netdev_info!(loopback, "is device {}", (*loopback).ifindex);
        dev_info!(device, "is {}", "known");
    }
}

/// What is off on this processor, and on again afterwards.
fn contexts() {
    let state = || context::state();
    let before = state();
    let preemption = preempt_disable();
    check!(state() == before | context::ATOMIC);
    let softirqs = local_bh_disable();
    check!(state() == before | context::ATOMIC | context::SOFTIRQS_OFF);
    drop((preemption, softirqs));
    // SAFETY: Nothing else turns interrupts off here.
    let interrupts = unsafe { local_irq_save() };
    check!(state() == before | context::INTERRUPTS_OFF);
    drop(interrupts);
    check!(before == 0, state() == 0);
}

/// Where this code runs.
mod context {
    use klp_runtime::prelude::*;

    pub(super) const ATOMIC: c_int = 1;
    pub(super) const SOFTIRQS_OFF: c_int = 2;
    pub(super) const INTERRUPTS_OFF: c_int = 4;

    kernel_types! {
        use "linux/preempt.h";
        use "linux/irqflags.h";
        macro fn context() -> c_int = "!!in_atomic() | !!in_softirq() << 1 | !!irqs_disabled() << 2";
    }

    /// What is off.
    pub(super) fn state() -> c_int {
        // SAFETY: Looks only.
        unsafe { context() }
    }
}

/// The kernel's table of TCP connections: each of its chains ends in its own number.
fn numbered_chains() {
    let read = rcu::read_lock();
    // SAFETY: The table is made when the kernel starts, and stays; its entries are freed by RCU.
    unsafe {
        let table = &raw const tcp_hashinfo;
        check!((*table).ehash_mask > 0);
        for number in 0..=(*table).ehash_mask {
            let bucket = (*table).ehash.add(number as usize);
            let mut entries =
                chlist_nulls_create!(&raw mut (*bucket).chain, sock_common, skc_nulls_node).iter_rcu(&read);
            let is_established = entries.all(|entry| (*entry).skc_family != 0);
            check!(is_established && entries.end() == Some(number as usize));
        }
    }
}

/// A list of the patch's own.
fn lists() {
    let mut heads =
        [klp_runtime::types::list_head { next: core::ptr::null_mut(), prev: core::ptr::null_mut() }; 3];
    let [head, one, two] = heads.each_mut().map(|head| &raw mut *head);
    // SAFETY: All three are here, and are not used again.
    unsafe {
        init_list_head(head);
        list_add(two, head);
        list_add_tail(one, head);
        check!((*head).next == two, (*two).next == one);
        list_del(two);
        list_del(one);
        check!(list_empty(head));
    }
}

fn memory() -> Result {
    let mut table = KVBox::<[u64]>::zeroed(1 << 20, GFP_KERNEL)?;
    check!(table.iter().all(|entry| *entry == 0));
    table[7] = 1;
    check!(KBox::<[u16]>::zeroed(100, GFP_ATOMIC)?.len() == 100, *KBox::new(7, GFP_KERNEL_ACCOUNT)? == 7);
    // SAFETY: The path is a string.
    let opened = unsafe { filp_open(c"/proc/nothing of this name".as_ptr(), 0, 0) };
    check!(from_err_ptr(opened) == Err(ENOENT));
    Ok(())
}

fn current() -> *mut task_struct {
    let current = klp_runtime::task::current();
    (&raw const *current).cast::<task_struct>().cast_mut()
}

/// The first letters of what the process is called by its arguments.
fn arguments() -> Result<[u8; 4]> {
    // SAFETY: The task runs this, and has memory.
    let start = unsafe { (*(*current()).mm).arg_start } as usize;
    let mut name = [0; 9];
    let arguments = || UserSlice::new(UserPtr::from_addr(start), 64).reader();
    check!(arguments().strcpy_into_buf(&mut name) == Ok(c"/bin/cat"));
    check!(arguments().strcpy_into_buf(&mut name[..5]) == Ok(c"/bin"));
    let (mut reader, mut writer) = UserSlice::new(UserPtr::from_addr(start), 4).reader_writer();
    let letters = reader.read::<[u8; 4]>()?;
    check!(reader.read::<u8>() == Err(EFAULT));
    writer.write(&letters)?;
    let kernel = UserPtr::from_ptr(&raw mut init_net);
    check!(UserSlice::new(kernel, 4).reader().read::<u32>() == Err(EFAULT));
    check!(UserSlice::new(kernel, 4).reader().strcpy_into_buf(&mut name) == Err(EFAULT));
    Ok(letters)
}

/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: This task reads the file.
    unsafe { locks(m) };
    devices();
    lists();
    contexts();
    numbered_chains();
    for error in [socket(), memory(), own_locks(), replaced()].into_iter().filter_map(Result::err) {
        pr_err!("failed with {error}");
    }
    // ANCHOR: once
    for number in 0..12 {
        pr_info_once!("once {number}");
        pr_info_ratelimited!("limited {number}");
    }
    // ANCHOR_END: once
    // ANCHOR: static_key
    // SAFETY: The kernel's own keys. The test has set the first one; nobody sets the second.
    unsafe {
        check!(
            static_key_enabled(&raw const bpf_stats_enabled_key),
            !static_key_enabled(&raw const init_on_free)
        );
    }
    // ANCHOR_END: static_key
    from_result(|| {
        let letters = arguments()?;
        // SAFETY: `m` is the file that the kernel reads; the format takes a length and as many letters.
        unsafe { seq_printf(m, c"%.*s\n".as_ptr(), letters.len() as c_int, letters.as_ptr()) };
        Ok(0)
    })
}
