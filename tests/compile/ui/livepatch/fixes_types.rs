//! What a patch fixes: strings.

klp_runtime::livepatch! {
    license: "GPL",
    authors: ["A"],
    description: "d",
    fixes: [1, X, "CVE-2026-12345"],
}

fn main() {}
