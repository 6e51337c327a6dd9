//! Data of another layout: what must be there together, and in which order (S22).

use klp_runtime::prelude::*;

livepatch! { license: "GPL", authors: ["A. Author"], description: "d" }

#[derive(KlpData)]
#[repr(C)]
struct Old(u32);

#[derive(KlpData)]
#[repr(C)]
struct New(u64);

struct WithoutMigrate;

#[klp_state(id = 1, version = 2, from(version = 1, data = Old))]
impl State for WithoutMigrate {
    type Data = New;

    fn pre_patch(_: &StateContext<'_>) -> Result<New> {
        Ok(New(1))
    }
}

struct WithoutFrom;

#[klp_state(id = 2, version = 2)]
impl State for WithoutFrom {
    type Data = New;

    fn pre_patch(_: &StateContext<'_>) -> Result<New> {
        Ok(New(1))
    }

    fn migrate(_: &StateContext<'_>, old: &Old) -> Result<New> {
        Ok(New(old.0.into()))
    }
}

struct NotEarlier;

#[klp_state(id = 3, version = 2, from(version = 2, data = Old))]
impl State for NotEarlier {
    type Data = New;

    fn pre_patch(_: &StateContext<'_>) -> Result<New> {
        Ok(New(1))
    }

    fn migrate(_: &StateContext<'_>, old: &Old) -> Result<New> {
        Ok(New(old.0.into()))
    }
}

struct Keys;

#[klp_state(id = 4, version = 2, from(versoin = 1, data = "Old", other))]
impl State for Keys {
    type Data = New;

    fn pre_patch(_: &StateContext<'_>) -> Result<New> {
        Ok(New(1))
    }

    fn migrate(_: &StateContext<'_>, old: &Old) -> Result<New> {
        Ok(New(old.0.into()))
    }
}

struct Empty;

#[klp_state(id = 5, version = 2, from())]
impl State for Empty {
    fn migrate(_: &StateContext<'_>, _: &Old) -> Result<()> {
        Ok(())
    }
}

struct Alone;

#[klp_state(id = 6, version = 2, from)]
impl State for Alone {
    fn migrate(_: &StateContext<'_>, _: &Old) -> Result {
        Ok(())
    }
}

struct Signature;

#[klp_state(id = 7, version = 2, from(version = 1, data = Old))]
impl State for Signature {
    fn migrate(_: &StateContext<'_>, _: &Old) {}
}

struct NotAList;

#[klp_state(id = 9, version = 2, from(version = 1, data = &'static str))]
impl State for NotAList {}

#[klp_state(id = 8, version = 2, from(version = 1, data = Old), native)]
struct Native;

fn main() {}
