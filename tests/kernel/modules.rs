//! What a module is made of: crates from the registry, and all of its table entries.

use std::fs;

use rustix::io::Errno;

use crate::guest::{Log, Patch};

crate::tests![
    a_crate_from_the_registry_is_linked_in,
    a_module_that_lost_an_entry_is_refused,
    a_module_for_another_build_of_the_kernel_is_refused,
];

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

/// The host half has built it so. This kernel's build ID is among the notes that it shows.
fn a_module_for_another_build_of_the_kernel_is_refused() {
    let mut log = Log::new();
    Patch("elsewhere").refused(Errno::INVAL);
    let lines = log.of_patches();
    let [line] = &*lines else { panic!("{lines:#?}") };
    let refused = "elsewhere.refused: built for another build of this kernel: expected build ID 1234, found ";
    let found = line.strip_prefix(refused).unwrap_or_else(|| panic!("{line}"));
    let notes = fs::read("/sys/kernel/notes").unwrap();
    let notes: String = notes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(found.len() == 40 && notes.contains(found), "{found}");
}
