use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "For the compile tests",
}

kernel_types! {
    object = nf_tables;
    struct nft_chain;
}

kernel_types! {
    object = "nf-tables";
    struct nft_chain;
}

kernel_types! {
    module = "nf_tables";
    struct nft_chain;
}

kernel_types! {
    struct task_struct { pid }
    object = "nf_tables";
    struct nft_chain;
}

kernel_types! {
    object = "nf_tables"
    struct nft_chain;
}

fn main() {}
