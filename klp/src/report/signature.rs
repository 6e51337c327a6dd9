//! What is known of the signature of a module in memory.

use serde::Serialize;

use crate::loaded::Loaded;
use crate::machine::Machine;

/// The kernel's letter for a module whose signature it has not verified, among a module's taints.
const UNVERIFIED: char = 'E';

/// What is known of the signature of a module in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignatureReport {
    /// Whether the kernel has verified it; unknown where the kernel verifies no module (CONFIG_MODULE_SIG).
    pub verified: Option<bool>,
    /// Who has signed the module, by its own word, if klp has loaded it.
    pub signer: Option<String>,
}

impl SignatureReport {
    pub(super) fn of(machine: &dyn Machine, module: &Loaded, signer: Option<String>) -> Self {
        let verifies = machine.path("sys/module/module/parameters/sig_enforce").exists();
        Self::new(verifies, module, signer)
    }

    /// Of a kernel that verifies signatures, or does not.
    pub(super) fn new(verifies: bool, module: &Loaded, signer: Option<String>) -> Self {
        Self { verified: verifies.then(|| !module.taint.contains(UNVERIFIED)), signer }
    }

    /// For people; empty where nothing is known.
    #[must_use]
    pub fn text(&self) -> String {
        match (self.verified, &self.signer) {
            (Some(true), Some(signer)) => format!("by {signer}; verified by the kernel"),
            (Some(true), None) => "by a key that the kernel trusts".into(),
            (Some(false), Some(signer)) => format!("by {signer}; the kernel does not trust that key"),
            (Some(false), None) => "not by a key that the kernel trusts".into(),
            (None, Some(signer)) => format!("by {signer}; this kernel verifies no signatures"),
            (None, None) => String::new(),
        }
    }
}
