//! All that a state may have, by constants, across modules and files, under strict lints.

#![deny(warnings, dead_code, missing_docs, unsafe_op_in_unsafe_fn, unused_qualifications, unreachable_pub)]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

/// Ids of this patch.
mod ids {
    pub(crate) const FIRST: u64 = 1;
    pub(crate) const LAST: u64 = (1 << 63) - 1;
    pub(crate) const VERSION: u32 = 3;
}

/// Lives as long as the state.
#[derive(KlpData)]
#[repr(C)]
struct Saved {
    level: u32,
}

struct All;

#[klp_state(id = ids::FIRST, version = ids::VERSION, name = "a \"name\" {with} \\ all")]
impl State for All {
    type Data = Saved;

    /// Documented.
    fn take_over(_: &StateContext<'_>, data: &Saved, from: u32) {
        let _ = data.level + from;
    }

    fn post_unpatch(_: &StateContext<'_>, _: &Saved) {}

    fn pre_unpatch(_: &StateContext<'_>, _: &Self::Data) -> () {}

    fn post_patch<'a>(_: &StateContext<'a>, _: &Saved) {}

    fn pre_patch(_: &StateContext<'_>) -> Result<Self::Data> {
        Ok(Saved { level: 1 })
    }
}

/// A state elsewhere, without anything.
mod elsewhere {
    pub(crate) struct Nothing;

    #[klp_runtime::klp_state(block_disable, version = 1, id = super::ids::LAST)]
    impl klp_runtime::state::State for Nothing {}
}

/// One whose type stands elsewhere, with unit data.
mod concrete {
    use klp_runtime::prelude::*;

    pub(crate) struct Wrapper<T>(T);

    #[klp_state(id = 4, version = 1)]
    impl State for Wrapper<u8> {
        type Data = ();
    }

    impl Wrapper<u8> {
        pub(crate) fn get(&self) -> u8 {
            self.0
        }
    }

    pub(crate) const ONE: Wrapper<u8> = Wrapper(1);
}

#[path = "../files/duplicate_other.rs"]
mod other;

fn main() {
    assert_eq!(<All as State>::ID, 1);
    assert_eq!(<All as State>::VERSION, 3);
    assert_eq!(<elsewhere::Nothing as State>::NAME, c"Nothing");
    assert_eq!(<concrete::Wrapper<u8> as State>::NAME, c"Wrapper");
    assert_eq!(concrete::ONE.get(), 1);
    assert_eq!(<other::Elsewhere as State>::ID, 7);
    let _ = (All, elsewhere::Nothing, other::Elsewhere);
}
