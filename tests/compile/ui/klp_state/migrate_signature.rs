//! A `migrate` of other types than the attribute says (S22).

use klp_runtime::prelude::*;

livepatch! { license: "GPL", authors: ["A. Author"], description: "d" }

#[derive(KlpData)]
#[repr(C)]
struct Old(u32);

#[derive(KlpData)]
#[repr(C)]
struct New(u64);

struct OtherTypes;

#[klp_state(id = 1, version = 2, from(version = 1, data = Old))]
impl State for OtherTypes {
    type Data = New;

    fn pre_patch(_: &StateContext<'_>) -> Result<New> {
        Ok(New(1))
    }

    fn migrate(_: &StateContext<'_>, old: &New) -> Result<New> {
        Ok(New(old.0))
    }
}

struct Unknown;

struct NotData;

#[klp_state(id = 2, version = 2, from(version = 1, data = Unknown))]
impl State for NotData {
    fn migrate(_: &StateContext<'_>, _: &Unknown) -> Result {
        Ok(())
    }
}

fn main() {}
