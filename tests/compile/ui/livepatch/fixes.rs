//! What a patch fixes: identifiers.

klp_runtime::livepatch! {
    license: "GPL",
    authors: ["A"],
    description: "d",
    fixes: ["CVE-2026-12345", "", "bug\n1", "CVE-26-1", "cve-2026-12346", "CVE-2026-12345"],
}

fn main() {}
