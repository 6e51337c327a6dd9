//! Reads fields of the current task, some of which are elsewhere in another kernel.
#![no_std]

use klp_runtime::prelude::*;
use klp_runtime::task;

livepatch! {
    license: "GPL",
    authors: ["klp tests"],
    description: "Reads fields that are elsewhere in another kernel",
}

kernel_types! {
    struct task_struct { pid, tgid, group_leader, comm, cred: __rcu }
    struct cred { uid }
    enum pid_type;
    fn seq_printf;
    fn __task_pid_nr_ns;
    #[klp_symbols]
    fn num_to_str;
}

/// In place of `fs/proc/version.c`: who reads it.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    let current = task::current();
    let this = (&raw const *current).cast::<task_struct>().cast_mut();
    let mut text: [c_char; 8] = [0; 8];
    // SAFETY: The task runs this; its leader and credentials stay for as long. The kernel's function takes any
    // task, and the namespace of the reader for null; the text has room for seven digits. The format takes what
    // follows it.
    unsafe {
        let leader = (*this).group_leader;
        num_to_str(text.as_mut_ptr(), 7, 4711, 0);
        let session = __task_pid_nr_ns(this, PIDTYPE_SID, core::ptr::null_mut());
        seq_printf(
            m,
            c"%d %d %d %d %u %s %s\n".as_ptr(),
            (*this).pid,
            (*this).tgid,
            (*leader).pid,
            session,
            (*(*this).cred.protected()).uid.val,
            (&raw const (*this).comm).cast::<c_char>(),
            text.as_ptr(),
        );
    }
    0
}
