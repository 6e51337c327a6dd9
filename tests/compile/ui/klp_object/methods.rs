//! Methods that are no callbacks, or have another signature.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct Unknown;

#[klp_object(name = "vmlinux")]
impl Object for Unknown {
    fn pre_path(object: &ObjectContext<'_>) -> Result {
        Ok(())
    }
}

struct Signature;

#[klp_object(name = "nf_tables")]
impl Object for Signature {
    fn pre_patch(object: &ObjectContext<'_>) {}
    fn post_patch() {}
    fn pre_unpatch(&self, object: &ObjectContext<'_>) {}
    fn post_unpatch(object: &ObjectContext<'_>) -> Result {
        Ok(())
    }
}

macro_rules! callbacks {
    () => {
        fn post_unpatch(_: &ObjectContext<'_>) {}
    };
}

struct Members;

#[klp_object(name = "nf_log")]
impl Object for Members {
    const NAME: Option<&'static CStr> = None;
    const OTHER: u32 = 1;
    type Data = u32;
    callbacks!();
}

fn main() {}
