//! What `klp status` knows: one structure, shown to people and programs alike.

mod installed;
mod patch;
mod signature;

use serde::Serialize;

use crate::dump::Dump;
use crate::error::{Exit, Result};
use crate::files::text;
use crate::fit;
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::sysfs::{self, Patch};

pub use installed::{Installed, is_in_effect};
pub use patch::{PatchReport, Phase, State};
pub use signature::SignatureReport;

/// The livepatches of a machine. Its names are stable; fields may be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// Whether it has livepatches at all (CONFIG_LIVEPATCH).
    pub supported: bool,
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
    /// Whether it is still being loaded: its init function has not returned.
    pub loading: bool,
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
                leftovers.push(Leftover::of(module));
            }
        }
        let taint = text(&machine.path("proc/sys/kernel/tainted"))?;
        Ok(Self {
            kernel: fit::release(machine)?,
            supported: sysfs::is_supported(machine),
            settled: is_settled(&patches),
            tainted: taint.and_then(|taint| taint.parse().ok()).is_some_and(is_tainted),
            patches,
            installed: Installed::all(machine)?,
            leftovers,
        })
    }

    /// The same of a dump. What is on the disk of a machine is not in its memory: what is installed, since when a patch
    /// is in effect, and who signed it.
    #[must_use]
    pub fn of_dump(dump: Dump) -> Self {
        let verifies = dump.verifies;
        let mut patches: Vec<_> = dump
            .patches
            .into_iter()
            .map(|(dumped, module, blockers)| PatchReport::of_dump(dumped, &module, blockers, verifies))
            .collect();
        patch::name_providers(&mut patches);
        Self {
            kernel: dump.release,
            supported: dump.supported,
            settled: is_settled(&patches),
            tainted: is_tainted(dump.taint),
            patches,
            installed: Vec::new(),
            leftovers: dump.others.into_iter().map(Leftover::of).collect(),
        }
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

impl Leftover {
    fn of(module: Loaded) -> Self {
        Self {
            held: module.references.is_some_and(|references| references > 0),
            loading: !module.is_live,
            name: module.name,
        }
    }
}

/// Whether no transition runs.
fn is_settled(patches: &[PatchReport]) -> bool {
    patches.iter().all(|patch| patch.phase == Phase::Enabled)
}

/// Whether the kernel's taint has the letter K.
fn is_tainted(taint: u64) -> bool {
    const LIVEPATCH: u64 = 1 << 15;
    taint & LIVEPATCH != 0
}
