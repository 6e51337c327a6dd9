//! What only the compiler sees of a migration (S22).

use klp_runtime::prelude::*;

livepatch! { license: "GPL", authors: ["A. Author"], description: "d" }

#[derive(KlpData)]
#[repr(C)]
struct Old(u32);

#[derive(KlpData)]
#[repr(C)]
struct New(u64);

const FIRST: u32 = 1;
const SECOND: u32 = 2;

struct NotEarlier;

#[klp_state(id = 1, version = FIRST, from(version = SECOND, data = Old))]
impl State for NotEarlier {
    type Data = New;

    fn pre_patch(_: &StateContext<'_>) -> Result<New> {
        Ok(New(1))
    }

    fn migrate(_: &StateContext<'_>, old: &Old) -> Result<New> {
        Ok(New(old.0.into()))
    }
}

struct SameLayout;

#[klp_state(id = 2, version = SECOND, from(version = FIRST, data = Old))]
impl State for SameLayout {
    type Data = Old;

    fn pre_patch(_: &StateContext<'_>) -> Result<Old> {
        Ok(Old(1))
    }

    fn migrate(_: &StateContext<'_>, old: &Old) -> Result<Old> {
        Ok(Old(old.0))
    }
}

fn main() {}
