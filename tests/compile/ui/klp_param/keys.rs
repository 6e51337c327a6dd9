//! Unknown keys, values of the wrong type, permissions that sysfs does not allow.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_param(permission = 0o644)]
static UNKNOWN: Param<u32> = Param::new(0);

#[klp_param(permissions = "0644")]
static TEXT: Param<u32> = Param::new(0);

#[klp_param(permissions = 0o666)]
static WORLD: Param<u32> = Param::new(0);

const EXECUTABLE: u32 = 0o755;

#[klp_param(permissions = EXECUTABLE)]
static CONSTANT: Param<u32> = Param::new(0);

#[klp_param(permissions = 0o644)]
static STRING: Param<CharP> = Param::new(CharP::new(c"text"));

#[klp_param(name = "a-b")]
static NAMED: Param<u32> = Param::new(0);

#[klp_param(description = "two\nlines")]
static DESCRIBED: Param<u32> = Param::new(0);

fn main() {}
