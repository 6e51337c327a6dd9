//! A function for the kernel's spinlocks takes no other structure.

use klp_runtime::prelude::*;
use klp_runtime::sync::kernel::spin_lock;
use klp_runtime::types::{list_head, mutex};

#[repr(C)]
struct Entry {
    number: u64,
    link: list_head,
}

unsafe fn locks(lock: *mut mutex, number: *mut u64) {
    drop(unsafe { spin_lock(lock) });
    drop(unsafe { spin_lock(number) });
}

unsafe fn lists(head: *mut list_head, number: *mut u64) {
    unsafe { clist_create!(number, Entry, link) };
    unsafe { clist_create!(head, Entry, number) };
    unsafe { container_of!(number, Entry, link) };
}

fn main() {}
