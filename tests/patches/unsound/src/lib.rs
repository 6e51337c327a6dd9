//! Reads what it must not: the kernel's address sanitizer must see each read, in Rust as in C.
#![no_std]

use core::hint::black_box;
use core::ptr;

use klp_runtime::prelude::*;
use klp_test_support::test_patch;

test_patch!(replace: false);

/// What is read: freed memory (1), behind an array on the stack (2), behind a static (3).
#[klp_param]
static FAULT: Param<u32> = Param::new(0);

static BYTES: [u8; 5] = [1; 5];

/// Reads, and refuses to be enabled.
#[klp_init]
fn init(_patch: &mut PatchSelection<'_>) -> Result {
    let on_stack = black_box([1_u8; 5]);
    let byte = match FAULT.get() {
        1 => {
            let boxed = KBox::new(1_u8, GFP_KERNEL)?;
            let freed = ptr::from_ref(&*boxed);
            drop(boxed);
            freed
        }
        2 => on_stack.as_ptr().wrapping_add(5),
        3 => BYTES.as_ptr().wrapping_add(5),
        fault => panic!("no such fault: {fault}"),
    };
    // SAFETY: None: this is the fault. The memory is mapped, nothing depends on the value.
    let value = unsafe { black_box(byte).read_volatile() };
    pr_info!("read {}", value);
    Err(EIO)
}
