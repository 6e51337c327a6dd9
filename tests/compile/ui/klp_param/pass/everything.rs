//! What a parameter may be.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

const READABLE: u32 = 0o444;

/// A number.
#[klp_param(permissions = 0o644)]
static NUMBER: Param<c_int> = Param::new(-1);

#[klp_param(name = "renamed", permissions = READABLE, description = "A \"quoted\" text")]
static TEXT: Param<CharP> = Param::new(CharP::new(c"default"));

#[klp_param]
static LIST: ParamArray<u64, 3> = ParamArray::new([1, 2, 3]);

mod inner {
    use klp_runtime::prelude::*;

    #[klp_param]
    pub static SWITCH: Param<bool> = Param::new(true);

    #[klp_param]
    pub static INVERTED: Param<InvBool> = Param::new(InvBool(false));

    #[klp_param]
    pub static HEXADECIMAL: Param<HexInt> = Param::new(HexInt(0xff));
}

#[cfg(any())]
#[klp_param(name = "number")]
static ABSENT: Param<u32> = Param::new(0);

fn main() {}
