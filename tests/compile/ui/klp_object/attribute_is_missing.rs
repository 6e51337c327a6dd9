//! `impl Object` without the attribute.

use klp_runtime::prelude::*;

livepatch! { license: "GPL", authors: ["A. Author"], description: "d" }

struct Forgotten;

impl Object for Forgotten {}

fn main() {}
