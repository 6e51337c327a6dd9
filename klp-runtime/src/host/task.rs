//! The current task, as the host has it: the thread. There is no other.

use core::ffi::{c_char, c_int};
use core::mem::MaybeUninit;
use std::cell::UnsafeCell;
use std::{fs, process};

use crate::types::task_struct;

std::thread_local! {
    /// Has an address for each thread.
    static TASK: UnsafeCell<MaybeUninit<u64>> = const { UnsafeCell::new(MaybeUninit::uninit()) };
}

pub(crate) fn klp_glue_current() -> *mut task_struct {
    TASK.with(|task| task.get().cast())
}

/// The thread's id where the system tells, that is on Linux; else the process'.
///
/// # Safety
///
/// As the kernel's or the glue's `klp_glue_task_pid`.
pub(crate) unsafe extern "C" fn klp_glue_task_pid(_task: *const task_struct) -> c_int {
    let thread = fs::read_link("/proc/thread-self").ok();
    let id = thread.and_then(|path| path.file_name()?.to_str()?.parse().ok());
    id.unwrap_or_else(|| process::id().cast_signed())
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_task_tgid`.
pub(crate) unsafe extern "C" fn klp_glue_task_tgid(_task: *const task_struct) -> c_int {
    process::id().cast_signed()
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_task_pid_vnr`.
pub(crate) unsafe extern "C" fn klp_glue_task_pid_vnr(task: *const task_struct) -> c_int {
    // SAFETY: The task is passed on.
    unsafe { klp_glue_task_pid(task) }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_task_tgid_vnr`.
pub(crate) unsafe extern "C" fn klp_glue_task_tgid_vnr(task: *const task_struct) -> c_int {
    // SAFETY: The task is passed on.
    unsafe { klp_glue_task_tgid(task) }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_task_comm`.
pub(crate) unsafe extern "C" fn klp_glue_task_comm(_task: *const task_struct, comm: *mut c_char) {
    let name = fs::read("/proc/thread-self/comm").unwrap_or_default();
    for (index, byte) in name.trim_ascii_end().iter().take(15).enumerate() {
        // SAFETY: The caller has 16 zeroed bytes there.
        unsafe { comm.add(index).write(byte.cast_signed() as c_char) }
    }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_task_is_kthread`.
pub(crate) unsafe extern "C" fn klp_glue_task_is_kthread(_task: *const task_struct) -> bool {
    false
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_task_is_group_leader`.
pub(crate) unsafe extern "C" fn klp_glue_task_is_group_leader(task: *const task_struct) -> bool {
    // SAFETY: The task is passed on.
    unsafe { klp_glue_task_pid(task) == klp_glue_task_tgid(task) }
}
