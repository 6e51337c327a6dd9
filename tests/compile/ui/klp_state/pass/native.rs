//! States of the kernel's own table.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

const ID: u64 = 1;

#[klp_state(id = ID, version = 2, native)]
struct Shared;

/// The same number is another state here: the name spaces are apart.
struct Own;

#[klp_state(id = ID, version = 1)]
impl State for Own {}

struct Vmlinux;

#[klp_object(name = "vmlinux")]
impl Object for Vmlinux {
    fn post_patch(object: &ObjectContext<'_>) {
        if let (Some(own), Some(previous)) = (Shared::get(), Shared::previous(object)) {
            // SAFETY: The same for the same state.
            unsafe { own.set_data(previous.data()) };
        }
    }
}

fn main() {}
