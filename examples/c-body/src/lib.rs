//! Only who may administer the system may open a FIFO, and the log says who was refused. The body of the replacement is
//! C, with the kernel's macros: `fifo_open.c`. What it counts is a state, in Rust.
#![cfg_attr(not(test), no_std)]

use core::sync::atomic::{AtomicU64, Ordering};

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Lets only administrators open FIFOs",
}

/// How many were refused since the fix came.
#[derive(KlpData)]
#[repr(C)]
struct Count {
    refused: AtomicU64,
}

/// Refuses, and counts.
struct Refusals;

#[klp_state(id = 1, version = 1)]
impl State for Refusals {
    type Data = Count;

    fn pre_patch(_cx: &StateContext<'_>) -> Result<Count> {
        Ok(Count { refused: AtomicU64::new(0) })
    }

    fn post_unpatch(_cx: &StateContext<'_>, count: &Count) {
        pr_info!("{} were refused", count.refused.load(Ordering::Relaxed));
    }
}

/// Counts one more. Any context.
#[klp_c]
extern "C" fn count_refusal() {
    Refusals::with_data(|count| count.refused.fetch_add(1, Ordering::Relaxed));
}

// ANCHOR: declaration
/// In place of `fs/pipe.c`: opens a FIFO, and waits for its other end.
///
/// # Safety
///
/// Called by the kernel, in process context, with the file that is being opened.
#[klp_func(symbol = "fifo_open", original = original_fifo_open)]
unsafe extern "C" fn livepatch_fifo_open(inode: *mut inode, file: *mut file) -> c_int;
// ANCHOR_END: declaration
