//! Redirects a function that a task sleeps in and can't be woken: the transition waits for that task.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Changes nothing in a function that a task of the test sleeps in",
    version: "1.0",
    replace: false,
}

/// In place of `fs/filesystems.c`: the file system of a name. The original asks modprobe for one that is unknown, and
/// sleeps until modprobe has ended.
///
/// # Safety
///
/// Called by the kernel, in process context.
#[klp_func(symbol = "get_fs_type", original = original_get_fs_type)]
unsafe extern "C" fn get_fs_type(name: *const c_char) -> *mut c_void {
    // SAFETY: The argument is the one that the kernel gave for it.
    unsafe { original_get_fs_type(name) }
}
