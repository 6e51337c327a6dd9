use klp_runtime::prelude::*;

#[shadow(id = 1 + 1, of = file)]
#[repr(C)]
struct OtherOwnId {}

#[shadow(state = crate::S, of = file)]
#[repr(C)]
struct Counter {}
