//! Replacements whose bodies are C: see `bodies.c`.
#![no_std]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

/// How often `/proc/version` was read.
#[derive(KlpData)]
#[repr(C)]
struct Total {
    reads: AtomicU64,
}

/// What the bodies keep.
struct Reads;

#[klp_state(id = 77, version = 1)]
impl State for Reads {
    type Data = Total;

    fn pre_patch(_cx: &StateContext<'_>) -> Result<Total> {
        Ok(Total { reads: AtomicU64::new(0) })
    }

    fn post_unpatch(_cx: &StateContext<'_>, total: &Total) {
        // SAFETY: it returns a constant.
        let ticks = unsafe { ticks_of_a_second() };
        pr_info!("{} reads, {ticks} ticks a second", total.reads.load(Ordering::Relaxed));
    }
}

// ANCHOR: shown
/// The reads of a task.
#[klp_c]
#[shadow(state = Reads, of = task_struct)]
#[repr(C)]
struct TaskReads {
    last: [u8; 3],
    count: AtomicU32,
}

/// The reads of a task; `NULL` without memory.
#[klp_c]
extern "C" fn reads_of(task: &task_struct) -> Option<ShadowRef<'_, TaskReads>> {
    let none = || Ok(TaskReads { last: [0; 3], count: AtomicU32::new(0) });
    TaskReads::get_or_alloc(task, GFP_KERNEL, none).ok()
}

/// `HZ`, a macro.
#[klp_c]
unsafe extern "C" fn ticks_of_a_second() -> c_int;
// ANCHOR_END: shown

/// Counts a read.
#[klp_c]
extern "C" fn count_read() {
    Reads::with_data(|total| total.reads.fetch_add(1, Ordering::Relaxed));
}

// ANCHOR: declaration
/// In place of `fs/proc/version.c`: says more than the original.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show", original = original_version)]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, v: *mut c_void) -> c_int;
// ANCHOR_END: declaration

/// In place of `fs/proc/cmdline.c`: uses macros of the kernel, and symbols that it does not export.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn cmdline_proc_show(m: *mut seq_file, v: *mut c_void) -> c_int;

/// In place of `fs/pipe.c`: sleeps in the original.
///
/// # Safety
///
/// Called by the kernel, in process context.
#[klp_func(symbol = "fifo_open", original = original_fifo_open)]
unsafe extern "C" fn fifo_open(inode: *mut inode, file: *mut file) -> c_int;
