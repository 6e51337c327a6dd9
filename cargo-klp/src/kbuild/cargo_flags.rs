//! Flags for each cargo that works on a patch: `--locked`, `--offline`, features.

use std::env;

use klp_format::env::CARGO_FLAGS;

/// The flags, as cargo takes them; none has white space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CargoFlags(pub Vec<String>);

impl CargoFlags {
    /// Those that `cargo klp build` hands to the steps of Kbuild, or a user to make.
    pub(crate) fn of_environment() -> Self {
        let flags = env::var(CARGO_FLAGS).unwrap_or_default();
        Self(flags.split_whitespace().map(String::from).collect())
    }

    /// The value of the variable.
    pub(super) fn variable(&self) -> String {
        self.0.join(" ")
    }

    /// Those that concern finding packages; which features are on does not matter there.
    pub(super) fn of_resolution(&self) -> Vec<String> {
        let is_meant = |flag: &&String| ["--locked", "--offline", "--frozen"].contains(&flag.as_str());
        self.0.iter().filter(is_meant).cloned().collect()
    }
}
