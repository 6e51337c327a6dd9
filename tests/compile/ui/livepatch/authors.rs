//! Lists of authors.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: [],
    description: "",
    replace: 1,
}

mod second {
    use klp_runtime::prelude::livepatch;

    livepatch! {
        license: "GPL",
        authors: [1, "A. Author <a@example.org>", b"B"],
        description: " ",
        replace: [true],
    }
}

fn main() {}
