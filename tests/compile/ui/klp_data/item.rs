//! Types whose layout can't be fixed. No `livepatch!` is needed.

use klp_runtime::prelude::*;

#[derive(KlpData)]
struct NotReprC(u8);

#[derive(KlpData)]
#[repr(transparent)]
struct Transparent(u8);

#[derive(KlpData)]
#[repr(C, packed)]
struct Packed(u8);

#[derive(KlpData)]
#[repr(align(8))]
struct AlignedOnly(u8);

#[derive(KlpData)]
#[repr(C)]
struct Generic<T, const N: usize>([T; N]);

#[derive(KlpData)]
#[repr(C)]
struct Lifetime<'a>(&'a u8);

#[derive(KlpData)]
#[repr(C)]
enum AnEnum {
    One,
}

#[derive(KlpData)]
#[repr(C)]
union AUnion {
    one: u8,
}

// Several at once.
#[derive(KlpData)]
struct All<T> {
    #[klp(opake)]
    #[klp(unsafe(opaque))]
    #[klp(unsafe(opaque))]
    #[klp(unsafe(opaque, more))]
    #[klp]
    value: T,
}

fn main() {}
