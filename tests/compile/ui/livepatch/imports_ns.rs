//! Symbol namespaces.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author"],
    description: "d",
    imports_ns: ["", "DMA_BUF", "module:kvm"],
}

fn main() {}
