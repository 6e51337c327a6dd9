//! Fields that can't be handed on.

use klp_runtime::prelude::*;
use std::cell::Cell;

struct Unknown;

#[derive(KlpData)]
#[repr(C)]
struct Fields {
    good: u32,
    unknown: Unknown,
    pointer: *mut c_void,
    reference: &'static str,
    function: fn(),
    array: [Unknown; 3],
}

#[derive(KlpData)]
#[repr(C)]
struct Opaque {
    // SAFETY: It holds no pointer.
    #[klp(unsafe(opaque))]
    unknown: Unknown,
    // SAFETY: It holds no pointer.
    #[klp(unsafe(opaque))]
    cell: Cell<u8>,
}

fn main() {}
