//! What `klp status` knows: one structure, shown to people and programs alike.

mod installed;
mod patch;
mod signature;

use serde::Serialize;

use crate::error::{Exit, Result};
use crate::files::text;
use crate::fit;
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::sysfs::Patch;

pub use installed::{Installed, is_in_effect};
pub use patch::{PatchReport, Phase, State};
pub use signature::SignatureReport;

/// The livepatches of a machine. Its names are stable; fields may be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// Whether no transition runs.
    pub settled: bool,
    /// Whether a livepatch has ever been loaded since the kernel was started (its taint K).
    pub tainted: bool,
    /// The patches that the kernel knows.
    pub patches: Vec<PatchReport>,
    /// The patches that are installed for this kernel.
    pub installed: Vec<Installed>,
    /// Modules of patches that are disabled or replaced, and still in memory.
    pub leftovers: Vec<Leftover>,
}

/// The module of a patch that the kernel has forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// Its name.
    pub name: String,
    /// Whether something holds it: its transition was forced, or one of its states is held.
    pub held: bool,
}

impl Report {
    /// Looks at the machine.
    ///
    /// # Errors
    ///
    /// Those of reading sysfs and procfs.
    pub fn read(machine: &dyn Machine) -> Result<Self> {
        let known = Patch::all(machine)?;
        let mut patches = Vec::new();
        for patch in &known {
            // One that has just gone is no patch any more.
            if let Some(module) = Loaded::find(machine, &patch.name)? {
                patches.push(PatchReport::of(machine, patch.clone(), module)?);
            }
        }
        patch::name_providers(&mut patches);
        let mut leftovers = Vec::new();
        for module in Loaded::livepatches(machine)? {
            if !known.iter().any(|patch| patch.name == module.name) {
                let held = module.references.is_some_and(|references| references > 0);
                leftovers.push(Leftover { name: module.name, held });
            }
        }
        let settled = patches.iter().all(|patch| patch.phase == Phase::Enabled);
        Ok(Self {
            kernel: fit::release(machine)?,
            settled,
            tainted: is_tainted(machine)?,
            patches,
            installed: Installed::all(machine)?,
            leftovers,
        })
    }

    /// The exit code of `klp status`.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let is_any = |phase| self.patches.iter().any(|patch| patch.phase == phase);
        if is_any(Phase::Stuck) {
            Exit::Stuck
        } else if is_any(Phase::Enabling) || is_any(Phase::Disabling) {
            Exit::InTransition
        } else if self.installed.iter().any(|patch| patch.is_missing) {
            Exit::NotInEffect
        } else {
            Exit::Done
        }
    }
}

/// Whether the kernel's taint has the letter K.
fn is_tainted(machine: &dyn Machine) -> Result<bool> {
    const LIVEPATCH: u64 = 1 << 15;
    let taint = text(&machine.path("proc/sys/kernel/tainted"))?;
    Ok(taint.and_then(|taint| taint.parse::<u64>().ok()).is_some_and(|taint| taint & LIVEPATCH != 0))
}
