//! The crates that others depend on can be published: together, in the order that cargo finds, with all that a registry
//! asks of a crate.
//!
//! Whether each compiles as packaged takes minutes: `cargo xtask soak` looks.

use std::collections::BTreeSet;
use std::process::Command;

use klp_page_tests::root;

/// The crates.
const CRATES: &[&str] =
    &["cargo-klp", "klp", "klp-btf", "klp-cfg", "klp-format", "klp-macros", "klp-module", "klp-runtime"];

#[test]
fn the_crates_can_be_published() {
    let mut publish = Command::new(env!("CARGO"));
    publish.args(["publish", "--workspace", "--dry-run", "--no-verify", "--allow-dirty", "--color", "never"]);
    let output = publish.current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let packages = said.lines().filter_map(|line| line.trim().strip_prefix("Packaging ")?.split(' ').next());
    assert_eq!(packages.collect::<BTreeSet<_>>(), CRATES.iter().copied().collect(), "{said}");
    assert!(!said.contains("manifest has no"), "a crate says too little of itself:\n{said}");
}
