//! No `livepatch!`.

use klp_runtime::prelude::*;

#[klp_func(symbol = "a")]
unsafe extern "C" fn a() {}

struct S;

#[klp_state(id = 1, version = 1)]
impl State for S {}

#[shadow(state = S, of = task_struct)]
#[repr(C)]
struct V {}

fn main() {}
