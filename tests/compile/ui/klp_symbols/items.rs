//! What is no symbol of the kernel, and what does not go together.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_symbols]
unsafe extern "C" {
    type Opaque;
    safe fn a();
    #[klp(static_of = "a")]
    fn b();
    #[klp(static_of = "a", sympos = 2)]
    static c: c_int;
}

#[klp_symbols]
unsafe extern "system" {
    fn d();
}

#[klp_symbols]
unsafe extern {
    fn e();
}

#[klp_symbols]
unsafe extern "C" {}

#[klp_symbols]
unsafe extern "C" fn f() {}

fn main() {}
