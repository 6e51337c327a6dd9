//! Structs and functions that C sees, under strict lints.

#![deny(warnings, dead_code, missing_docs, unused_qualifications, unreachable_pub)]

use core::sync::atomic::{AtomicPtr, AtomicU64};

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

/// As many names.
const NAMES: usize = 2 + 1;

#[klp_c]
#[shadow(id = 1, of = file)]
#[repr(C)]
struct Seen {
    count: AtomicU64,
    names: [u8; NAMES],
}

#[klp_c]
#[repr(C)]
struct Pointers {
    next: AtomicPtr<Pointers>,
    r#type: *const c_char,
}

/// Documentation.
#[klp_c]
extern "C" fn seen_of(file: &file) -> Option<ShadowRef<'_, Seen>> {
    Seen::get(file)
}

#[klp_c]
unsafe extern "C" fn next<'a>(all: &'a Pointers, _: c_int) -> *mut Pointers {
    let _ = (&all.next, all.r#type);
    core::ptr::null_mut()
}

/// Its body is C.
#[klp_c]
pub unsafe extern "C" fn in_c(file: *mut file, _: c_int) -> bool;

/// Of the kernel, which Rust sees by reference only.
#[klp_c(object = "sch_netem")]
pub struct netem_sched_data;

#[klp_c]
extern "C" fn look_at(_: &netem_sched_data) {}

fn main() {
    // In use, and linked where it is called only.
    let _ = in_c;
}
