//! What is no parameter.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_param]
static PLAIN: u32 = 0;

#[klp_param]
static FLOAT: Param<f32> = Param::new(0.0);

#[klp_param]
static mut MUTABLE: Param<u32> = Param::new(0);

#[klp_param]
fn function() {}

#[klp_param]
static SAME: Param<u32> = Param::new(0);

#[klp_param(name = "same")]
static OTHER: Param<u32> = Param::new(0);

#[klp_param]
static KLP_ALLOW_DOWNGRADE: Param<bool> = Param::new(false);

fn main() {}
