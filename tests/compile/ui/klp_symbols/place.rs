//! In a function.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

fn main() {
    #[klp_symbols]
    unsafe extern "C" {
        static b: c_int;
    }
}
