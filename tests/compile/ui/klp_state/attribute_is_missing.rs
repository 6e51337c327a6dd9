//! `impl State` without the attribute.

use klp_runtime::prelude::*;

livepatch! { license: "GPL", authors: ["A. Author"], description: "d" }

struct Forgotten;

impl State for Forgotten {
    type Data = ();

    fn pre_patch(_: &StateContext<'_>) -> Result {
        Ok(())
    }
}

fn main() {}
