//! A, revision 2 of a series, without states.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "A patch of klp's tests",
    replace: false,
    series: "klp tests",
    revision: 2,
}
