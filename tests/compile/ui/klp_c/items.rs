//! What C does not have.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_c]
struct NoLayout {
    a: u8,
}

#[klp_c]
#[repr(C)]
struct NoNames(u8);

#[klp_c]
#[repr(C)]
struct Fields {
    text: &'static str,
    both: (u8, u8),
    maybe: Option<u8>,
}

#[klp_c(name = "other")]
fn not_of_c(_: u8) {}

#[klp_c]
extern "C" fn generic<T>(_: *const T) {}

#[klp_c]
extern "C" fn body_elsewhere(a: u8);

#[klp_c]
extern "C" fn large(_: u128) {}

#[klp_c(object = "nf-tables")]
struct of_a_module;

#[klp_c(object = "nf_tables")]
extern "C" fn of_no_module() {}

#[klp_c]
static COUNT: u8 = 0;

fn main() {}
