//! A promise is `unsafe` of the author's own, so a crate can forbid it; what the derive checks is not.

#![forbid(unsafe_code)]

use klp_runtime::prelude::*;

#[derive(KlpData)]
#[repr(C)]
struct Promised {
    #[klp(unsafe(opaque))]
    pair: (u8, u16),
}

#[derive(KlpData)]
#[repr(C)]
struct Checked {
    label: [u8; 16],
}

fn main() {}
