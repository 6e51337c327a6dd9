//! Not at the crate root.

use klp_runtime::prelude::*;

mod patch {
    use klp_runtime::prelude::*;

    livepatch! {
        license: "GPL",
        authors: ["A. Author <a@example.org>"],
        description: "A test",
    }
}

#[klp_func(symbol = "a")]
unsafe extern "C" fn a() {}

fn main() {}
