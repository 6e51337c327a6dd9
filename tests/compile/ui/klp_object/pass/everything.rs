//! What an object may be.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct Vmlinux;

#[klp_object(name = "vmlinux")]
impl Object for Vmlinux {
    fn pre_patch(object: &ObjectContext<'_>) -> Result {
        match object.module_state() {
            None => Ok(()),
            Some(ModuleState::Live | ModuleState::Coming | ModuleState::Going | ModuleState::Unformed) => {
                Err(EINVAL)
            }
        }
    }

    fn post_patch(_object: &ObjectContext<'_>) {}

    fn pre_unpatch(_object: &ObjectContext<'_>) {}

    fn post_unpatch(_object: &ObjectContext<'_>) {}
}

#[cfg(any())]
struct Absent;

#[cfg(any())]
#[klp_object(name = "vmlinux")]
impl Object for Absent {}

mod inner {
    use klp_runtime::prelude::*;

    pub struct NoCallbacks;

    #[klp_object(name = "nf_tables")]
    impl Object for NoCallbacks {}
}

fn main() {}
