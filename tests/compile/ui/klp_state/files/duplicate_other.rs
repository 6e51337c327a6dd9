use klp_runtime::prelude::*;

pub(crate) struct Elsewhere;

#[klp_state(id = 3 + 4, version = 1)]
impl State for Elsewhere {}
