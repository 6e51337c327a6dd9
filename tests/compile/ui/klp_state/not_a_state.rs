//! Not an implementation of `State`.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

#[klp_state(id = 1, version = 1)]
pub struct OnAStruct;

struct Inherent;

#[klp_state(id = 2, version = 1)]
impl Inherent {}

struct Other;

#[klp_state(id = 3, version = 1)]
impl Clone for Other {
    fn clone(&self) -> Self {
        Other
    }
}

struct Generic<T>(T);

#[klp_state(id = 4, version = 1)]
impl<T: 'static> State for Generic<T> {}

struct Lifetime<'a>(&'a u8);

#[klp_state(id = 5, version = 1)]
impl<'a> State for Lifetime<'a> {}

// The arguments are checked all the same.
#[klp_state(id = 0)]
fn function() {}

fn main() {}
