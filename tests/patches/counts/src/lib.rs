//! Counts calls under a lock: both are data of a state, which the next version of the patch goes on with.
#![no_std]

use klp_runtime::prelude::*;
use klp_runtime::sync::{Mutex, SpinLock};

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Counts calls under a lock that successive patches share",
    replace: true,
}

// ANCHOR: lock
/// What all versions share.
#[derive(KlpData)]
#[repr(C)]
struct Counts {
    calls: Mutex<u64>,
    last: SpinLock<u64>,
}

struct Counting;

#[klp_state(id = 30, version = 1)]
impl State for Counting {
    type Data = Counts;

    fn pre_patch(_cx: &StateContext<'_>) -> Result<Counts> {
        let counts = Counts { calls: Mutex::new(0), last: SpinLock::new(0) };
        // Used before they are moved to where they stay.
        *counts.calls.lock() += 0;
        *counts.last.lock() += 0;
        Ok(counts)
    }
}
// ANCHOR_END: lock

unsafe extern "C" {
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn livepatch_version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    let number = Counting::with_data(|counts| {
        let mut calls = counts.calls.lock();
        let number = *calls + 1;
        for _ in 0..1000 {
            // Long enough that another task is switched to here now and then.
            core::hint::spin_loop();
        }
        *calls = number;
        drop(calls);
        *counts.last.lock() = number;
        number
    });
    // SAFETY: `m` is the file that is read; the format takes one number.
    unsafe { seq_printf(m, c"%llu\n".as_ptr(), number.unwrap_or(0)) };
    0
}
