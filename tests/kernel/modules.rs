//! What a module is made of: crates from the registry, and all of its table entries.

use std::fs;

use rustix::io::Errno;

use crate::guest::{Log, Patch};

crate::tests![a_crate_from_the_registry_is_linked_in, a_module_that_lost_an_entry_is_refused];

fn a_crate_from_the_registry_is_linked_in() {
    Patch("registry").enable();
    assert_eq!(fs::read_to_string("/proc/version").unwrap(), "-12345678901");
    Patch("registry").end();
}

/// The host half has built it so.
fn a_module_that_lost_an_entry_is_refused() {
    let mut log = Log::new();
    Patch("lost").refused(Errno::INVAL);
    assert_eq!(log.of_patches(), ["lost.refused: the module has lost entries: 1 of 2 states"]);
}
