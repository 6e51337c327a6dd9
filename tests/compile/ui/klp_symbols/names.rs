//! Names that no object and no symbol has.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_symbols(object = "nf-tables")]
unsafe extern "C" {
    #[klp(symbol = "a()")]
    fn a();
    #[klp(symbol = "")]
    fn b();
    #[klp(symbol = "nf_tables:c")]
    fn c();
    #[klp(static_of = "d d")]
    static d: c_int;
    #[link_name = "e"]
    fn e();
}

fn main() {}
