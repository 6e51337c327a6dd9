//! Every key, in any order, with a constant.

#![deny(warnings, dead_code, missing_docs, unsafe_op_in_unsafe_fn, unused_qualifications, unreachable_pub)]

use klp_runtime::prelude::*;

/// From elsewhere.
const REPLACE: bool = !cfg!(miri);

/// From elsewhere, too.
const REVISION: u64 = 6;

livepatch! {
    replace: REPLACE,
    version: "1.2",
    fixes: ["CVE-2026-12345", "example.org: bug 7"],
    description: "{braces} and \"quotes\"",
    authors: ["A. Author <a@example.org>", "B. Author <b@example.org>"],
    license: "Dual MIT/GPL",
    revision: REVISION + 1,
    series: "example.org: {fixes}",
}

fn main() {
    let patch = livepatch().patch;
    // SAFETY: A constant of this crate.
    let series = unsafe { CStr::from_ptr(patch.series) };
    assert_eq!((series, patch.revision), (c"example.org: {fixes}", 7));
}
