//! Without `livepatch!`.

use klp_runtime::prelude::*;

#[klp_symbols]
unsafe extern "C" {
    static a: c_int;
}

fn main() {}
