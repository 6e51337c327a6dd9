//! Unknown and missing keys, names that are none.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct NoName;

#[klp_object]
impl Object for NoName {}

struct Unknown;

#[klp_object(nam = "nf_tables")]
impl Object for Unknown {}

struct Dash;

#[klp_object(name = "nf-tables")]
impl Object for Dash {}

struct Number;

#[klp_object(name = 1)]
impl Object for Number {}

fn main() {}
