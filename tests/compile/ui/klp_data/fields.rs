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
    #[klp(opaque)]
    unknown: Unknown,
    #[klp(opaque)]
    cell: Cell<u8>,
}

fn main() {}
