//! A series and a revision belong together.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
    series: "fixes",
}

mod without_a_series {
    use klp_runtime::prelude::*;

    livepatch! {
        license: "GPL",
        authors: ["A. Author <a@example.org>"],
        description: "A test",
        revision: 2,
    }
}

mod of_other_types {
    use klp_runtime::prelude::*;

    livepatch! {
        license: "GPL",
        authors: ["A. Author <a@example.org>"],
        description: "A test",
        series: 1,
        revision: "2",
    }
}

fn main() {}
