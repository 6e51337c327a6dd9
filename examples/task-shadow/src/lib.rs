//! Counts in each task how often `/proc/PID/wchan` was read.
//!
//! The file tells where in the kernel a task sleeps, which some want hidden. Patched, it says `0`,
//! as the kernel does for readers without permission, and how often somebody has looked. The count
//! is a field that the kernel's `task_struct` does not have: a shadow variable.
//!
//! Old and new code run side by side while the patch is enabled or disabled. So a task without a
//! count is a normal case: one is made when it is first looked at, and where the task ends there
//! may be none to free. What tasks still have when the patch goes is freed with the state.
#![no_std]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Hides where tasks sleep, and counts who looks",
}

unsafe extern "C" {
    /// `include/linux/seq_file.h`: adds to the record that is being read.
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

// ANCHOR: variable
/// The counting: all counts live and go with it.
struct WchanReads;

/// How many counts were made and freed while tasks came and went.
#[derive(KlpData, Default)]
#[repr(C)]
struct Totals {
    made: AtomicU64,
    freed: AtomicU64,
}

#[klp_state(id = 2, version = 1)]
impl State for WchanReads {
    type Data = Totals;

    fn pre_patch(_cx: &StateContext<'_>) -> Result<Totals> {
        Ok(Totals::default())
    }

    fn post_unpatch(_cx: &StateContext<'_>, totals: &Totals) {
        let (made, freed) = (totals.made.load(Relaxed), totals.freed.load(Relaxed));
        pr_info!("{made} tasks were looked at, {freed} of them ended");
    }
}

/// How often somebody looked at a task.
#[shadow(state = WchanReads, of = task_struct)]
#[repr(C)]
struct Reads {
    count: AtomicU64,
}

impl Reads {
    /// A constructor: runs before the variable is allocated, where the caller is, and may fail.
    fn new() -> Result<Self> {
        WchanReads::with_data(|totals| totals.made.fetch_add(1, Relaxed)).ok_or(EAGAIN)?;
        Ok(Self { count: AtomicU64::new(0) })
    }
}

impl Drop for Reads {
    /// The destructor, in atomic context; it finds no totals when the state itself is gone.
    fn drop(&mut self) {
        WchanReads::with_data(|totals| totals.freed.fetch_add(1, Relaxed));
    }
}
// ANCHOR_END: variable

/// A namespace of process ids; passed through.
type PidNamespace = c_void;
/// A process id; passed through.
type Pid = c_void;

/// In place of `fs/proc/base.c`: the record of `/proc/PID/wchan`.
///
/// # Safety
///
/// Called by the kernel with the file that is being read and a task that stays while it runs.
#[klp_func(symbol = "proc_pid_wchan")]
unsafe extern "C" fn livepatch_proc_pid_wchan(
    m: *mut seq_file,
    _ns: *mut PidNamespace,
    _pid: *mut Pid,
    task: *mut task_struct,
) -> c_int {
    // ANCHOR: use
    // SAFETY: The kernel holds a reference on the task.
    let task = unsafe { &*task };
    let reads = match Reads::get_or_alloc(task, GFP_KERNEL, Reads::new) {
        Ok(reads) => reads.count.fetch_add(1, Relaxed) + 1,
        Err(error) => return error.to_errno(),
    };
    // ANCHOR_END: use
    // SAFETY: `m` is the file that the kernel reads; the format takes one unsigned long long.
    unsafe { seq_printf(m, c"0 (looked at %llu times)".as_ptr(), reads) };
    0
}

// ANCHOR: free
/// In place of `arch/x86/kernel/process_64.c`: a task that has ended is about to be freed. The
/// original does nothing but warn where the task still has memory.
///
/// # Safety
///
/// Called by the kernel with a task that nobody finds any more.
#[klp_func(symbol = "release_thread")]
unsafe extern "C" fn livepatch_release_thread(task: *mut task_struct) {
    // SAFETY: The task is freed only after this; nobody reads its files any more, so no reference
    // to its count is left.
    unsafe { Reads::free(&*task) }
}
// ANCHOR_END: free
