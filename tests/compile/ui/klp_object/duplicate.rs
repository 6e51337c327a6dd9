//! The same object twice, and what is no implementation of `Object`.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct One;

#[klp_object(name = "nf_tables")]
impl Object for One {}

struct Two;

#[klp_object(name = "nf_tables")]
impl Object for Two {}

#[klp_object(name = "nf_log")]
struct Three;

struct Four;

#[klp_object(name = "nf_nat")]
impl Four {}

fn main() {}
