//! B+, revision 1 of the same series as A, without states.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "A patch of klp's tests",
    replace: true,
    series: "klp tests",
    revision: 1,
}
