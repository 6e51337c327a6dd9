//! The end of what a forced transition leaves for good: the module `klp_test_forget` frees it.

use std::ffi::CString;

use klp_runtime::abi::{REGISTRY_SHADOW_ID, Registry};
use rustix::io::Errno;

use super::sequence::{CRATES, IDS};
use crate::guest::{Patch, wait};

/// Does its work when it is loaded, and fails.
pub(crate) const FORGET: Patch = Patch("forget");

/// Frees what patches have that were forced off, or that hold a state, and unloads them. No task runs their code.
pub(super) fn forget() {
    let ids = |sleepable: bool| {
        let ids = IDS.iter().filter(|id| id.1 == sleepable).map(|id| format!("{:#x}", id.0));
        ids.collect::<Vec<_>>().join(",")
    };
    let parameters = format!(
        "list={REGISTRY_SHADOW_ID:#x} list_size={} plain={} sleepable={}",
        size_of::<Registry>(),
        ids(false),
        ids(true)
    );
    let parameters = CString::new(parameters).expect("it has no NUL");
    assert_eq!(FORGET.insert_with(&parameters), Err(Errno::NODEV), "the module that forgets");
    for krate in CRATES.iter().map(|krate| Patch(krate.name)).filter(|krate| krate.is_loaded()) {
        wait(|| krate.try_remove().is_ok(), || format!("{} stays", krate.0));
    }
}
