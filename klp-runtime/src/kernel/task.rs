//! Tasks: the current one, and what identifies it.

use core::ffi::{CStr, c_int};
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

use crate::module::sys;
use crate::types::task_struct;

/// The task that runs this code: `current`. Any context; in an interrupt, it is the task that was interrupted.
///
/// ```
/// use klp_runtime::task;
///
/// let current = task::current();
/// assert!(!current.is_kthread());
/// println!("{} of {}, {}", current.pid(), current.tgid(), current.comm());
/// ```
#[must_use]
pub fn current() -> Current {
    // SAFETY: There is always one.
    let task = unsafe { NonNull::new_unchecked(sys::klp_glue_current()) };
    Current { task, stays_in_its_task: PhantomData }
}

/// The task that runs this code. It exists as long as the code runs.
pub struct Current {
    task: NonNull<task_struct>,
    stays_in_its_task: PhantomData<*mut ()>,
}

impl Deref for Current {
    type Target = task_struct;

    fn deref(&self) -> &task_struct {
        // SAFETY: The task runs this code, and can't hand its `Current` to another one.
        unsafe { self.task.as_ref() }
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").field(&self.pid()).finish()
    }
}

/// Any context.
impl task_struct {
    /// The thread's id, as the whole system knows it (`task->pid`).
    #[must_use]
    pub fn pid(&self) -> c_int {
        // SAFETY: The reference keeps the task.
        unsafe { sys::klp_glue_task_pid(self) }
    }

    /// The process' id, as the whole system knows it (`task->tgid`).
    #[must_use]
    pub fn tgid(&self) -> c_int {
        // SAFETY: The reference keeps the task.
        unsafe { sys::klp_glue_task_tgid(self) }
    }

    /// The thread's id in the PID namespace of the current task (`task_pid_vnr`): what `gettid` returns.
    #[must_use]
    pub fn pid_vnr(&self) -> c_int {
        // SAFETY: The reference keeps the task.
        unsafe { sys::klp_glue_task_pid_vnr(self) }
    }

    /// The process' id in the PID namespace of the current task (`task_tgid_vnr`): what `getpid` returns.
    #[must_use]
    pub fn tgid_vnr(&self) -> c_int {
        // SAFETY: The reference keeps the task.
        unsafe { sys::klp_glue_task_tgid_vnr(self) }
    }

    /// The task's name. While another task changes it, the result may be part old and part new.
    #[must_use]
    pub fn comm(&self) -> Comm {
        let mut comm = Comm([0; TASK_COMM_LEN]);
        // SAFETY: The reference keeps the task; there is room for a name.
        unsafe { sys::klp_glue_task_comm(self, comm.0.as_mut_ptr().cast()) }
        comm
    }

    /// Whether it is a kernel thread.
    #[must_use]
    pub fn is_kthread(&self) -> bool {
        // SAFETY: The reference keeps the task.
        unsafe { sys::klp_glue_task_is_kthread(self) }
    }

    /// Whether it is the first thread of its process (`thread_group_leader`).
    #[must_use]
    pub fn is_group_leader(&self) -> bool {
        // SAFETY: The reference keeps the task.
        unsafe { sys::klp_glue_task_is_group_leader(self) }
    }
}

/// As `include/linux/sched.h` has it.
const TASK_COMM_LEN: usize = 16;

/// The name of a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Comm([u8; TASK_COMM_LEN]);

impl Deref for Comm {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.to_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
