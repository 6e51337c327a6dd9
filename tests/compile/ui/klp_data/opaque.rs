//! What only `unsafe` can promise: that a field points into no module (S10).

use klp_runtime::prelude::*;

#[derive(KlpData)]
#[repr(C)]
struct Bare {
    #[klp(opaque)]
    label: &'static str,
}

#[derive(KlpData)]
#[repr(C)]
struct Mistaken {
    #[klp(unsafe(opake))]
    label: [u8; 16],
}

fn main() {}
