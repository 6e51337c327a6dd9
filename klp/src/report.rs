//! What `klp status` knows: one structure, shown to people and programs alike.

use std::collections::BTreeMap;

use klp_format::STATE_BLOCK_DISABLE;
use serde::Serialize;

use crate::error::Error;
use crate::error::{Exit, Result};
use crate::files::text;
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::plan::{Candidate, Reason, plan};
use crate::sysfs::{Object, Patch};
use crate::tasks::{self, Blocker};
use crate::{fit, marks, record, store, stuck};

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

/// A patch that the kernel knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PatchReport {
    /// The name of its module.
    pub name: String,
    /// Where it is.
    pub phase: Phase,
    /// Since when, if klp has loaded it (RFC 3339).
    pub since: Option<String>,
    /// The author's version.
    pub version: Option<String>,
    /// The line of cumulative patches that it belongs to.
    pub series: Option<Series>,
    /// What it fixes, if it is made with klp.
    pub fixes: Vec<String>,
    /// The linker's identification of the build.
    pub build_id: Option<String>,
    /// Kbuild's digest of the sources.
    pub srcversion: Option<String>,
    /// Whether it replaces all other patches; where neither the kernel nor the patch says it, it is unknown.
    pub replace: Option<bool>,
    /// Its place among all patches, where the kernel shows it.
    pub stack_order: Option<u64>,
    /// Whether it is made with klp.
    pub is_klp: bool,
    /// Its states, if it is made with klp.
    pub states: Vec<State>,
    /// The objects that it changes, with the functions that it redirects.
    pub objects: Vec<Object>,
    /// Whether klp has forced a transition of it.
    pub forced: bool,
    /// The reasons for which its module taints the kernel, a letter each.
    pub taint: String,
    /// The tasks that hold up its transition.
    pub blockers: Vec<Blocker>,
}

/// Where a patch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// On its way.
    Enabling,
    /// In effect.
    Enabled,
    /// On its way back.
    Disabling,
    /// The task that loaded it has died in it.
    Stuck,
}

/// The line of cumulative patches that a patch belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// The patch's number in it.
    pub revision: u64,
}

/// A state that a patch provides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// Its id.
    pub id: u64,
    /// Its name; the kernel's own states have none.
    pub name: Option<String>,
    /// The patch's version of it.
    pub version: u64,
    /// Whether it stands in the kernel's own table.
    pub native: bool,
    /// Whether it refuses to be removed.
    pub block_disable: bool,
    /// The patches that provide it.
    pub providers: Vec<String>,
}

/// A patch that is installed for the kernel that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// The linker's identification of the build.
    pub build_id: Option<String>,
    /// Whether this build is in effect.
    pub in_effect: bool,
    /// Whether it is on trial: if the machine goes down now, it is taken for the patch's fault.
    pub on_trial: bool,
    /// Why it is not loaded at boot, or can't be read.
    pub left_out: Option<String>,
    /// Whether it is not in effect though it should be.
    pub is_missing: bool,
}

impl Installed {
    /// All patches that are installed for the kernel that runs.
    ///
    /// # Errors
    ///
    /// Those of reading files.
    pub fn all(machine: &dyn Machine) -> Result<Vec<Self>> {
        let release = fit::release(machine)?;
        let (files, errors) = store::read(&store::installed(machine, &release))?;
        let (kept, _) = store::read(&store::confirmed(machine, &release))?;
        let candidates: Vec<_> = files.iter().map(Candidate::of).collect();
        let confirmed: Vec<_> = kept.iter().map(Candidate::of).collect();
        let plan = plan(&candidates, &confirmed, &marks::deaths(machine)?);
        let trials = marks::on_trial(machine)?;
        let mut all = Vec::new();
        for patch in candidates {
            let reason = plan.left_out.iter().find(|(other, _)| *other == patch).map(|(_, reason)| reason);
            let in_effect = is_in_effect(machine, &patch)?;
            all.push(Self {
                in_effect,
                on_trial: trials.iter().any(|trial| Some(&trial.build_id) == patch.build_id.as_ref()),
                left_out: reason.map(ToString::to_string),
                is_missing: !in_effect && reason.is_none_or(Reason::is_fault),
                name: patch.name,
                build_id: patch.build_id,
            });
        }
        all.extend(errors.iter().map(Self::unreadable));
        Ok(all)
    }

    fn unreadable(error: &Error) -> Self {
        Self {
            name: "(unreadable)".into(),
            build_id: None,
            in_effect: false,
            on_trial: false,
            left_out: Some(error.to_string()),
            is_missing: true,
        }
    }

    /// Its standing, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let effect = match (self.in_effect, self.on_trial) {
            (true, true) => "in effect, on trial",
            (true, false) => "in effect",
            (false, _) => "not in effect",
        };
        match &self.left_out {
            Some(reason) => format!("{effect}; not loaded at boot: {reason}"),
            None => effect.into(),
        }
    }
}

/// Whether this build of a patch is enabled, and not in transition.
///
/// # Errors
///
/// Those of reading sysfs.
pub fn is_in_effect(machine: &dyn Machine, patch: &Candidate) -> Result<bool> {
    let enabled = Patch::find(machine, &patch.name)?.is_some_and(|patch| patch.enabled && !patch.transition);
    Ok(enabled && Loaded::find(machine, &patch.name)?.is_some_and(|module| module.build_id == patch.build_id))
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
                patches.push(patch_report(machine, patch.clone(), module)?);
            }
        }
        name_providers(&mut patches);
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

fn patch_report(machine: &dyn Machine, patch: Patch, module: Loaded) -> Result<PatchReport> {
    let phase = match (patch.transition, patch.enabled) {
        (true, _) if stuck::is_stuck(machine, &patch)? => Phase::Stuck,
        (true, true) => Phase::Enabling,
        (false, true) => Phase::Enabled,
        (_, false) => Phase::Disabling,
    };
    let blockers = if patch.transition { tasks::blockers(machine, &patch)? } else { Vec::new() };
    let since = record::since(machine, &patch.name);
    let about = module.about.as_ref();
    let series = about.and_then(|about| about.series());
    Ok(PatchReport {
        phase,
        since: since.map(|since| humantime::format_rfc3339_seconds(since).to_string()),
        version: module.version.clone(),
        series: series.map(|(name, revision)| Series { name: name.into(), revision }),
        fixes: about.map(|about| about.fixes.clone()).unwrap_or_default(),
        build_id: module.build_id.clone(),
        srcversion: module.srcversion.clone(),
        replace: patch.replace.or(about.map(|about| about.replaces())),
        stack_order: patch.stack_order,
        is_klp: about.is_some(),
        states: states(&module),
        forced: record::is_forced(machine, &patch.name),
        taint: module.taint.clone(),
        objects: patch.objects,
        name: patch.name,
        blockers,
    })
}

fn states(module: &Loaded) -> Vec<State> {
    let Some(about) = &module.about else { return Vec::new() };
    let ours = about.states.iter().map(|state| State {
        id: state.id,
        name: Some(state.name.clone()),
        version: state.version,
        native: false,
        block_disable: state.flags & u64::from(STATE_BLOCK_DISABLE) != 0,
        providers: Vec::new(),
    });
    let natives = about.natives.iter().map(|native| State {
        id: native.id,
        name: None,
        version: native.version,
        native: true,
        block_disable: false,
        providers: Vec::new(),
    });
    ours.chain(natives).collect()
}

/// Ids form one name space each for klp's states and the kernel's own: the same id in two patches is the same state.
fn name_providers(patches: &mut [PatchReport]) {
    let mut providers: BTreeMap<(bool, u64), Vec<String>> = BTreeMap::new();
    for patch in patches.iter() {
        for state in &patch.states {
            providers.entry((state.native, state.id)).or_default().push(patch.name.clone());
        }
    }
    for state in patches.iter_mut().flat_map(|patch| &mut patch.states) {
        state.providers.clone_from(&providers[&(state.native, state.id)]);
    }
}

/// Whether the kernel's taint has the letter K.
fn is_tainted(machine: &dyn Machine) -> Result<bool> {
    const LIVEPATCH: u64 = 1 << 15;
    let taint = text(&machine.path("proc/sys/kernel/tainted"))?;
    Ok(taint.and_then(|taint| taint.parse::<u64>().ok()).is_some_and(|taint| taint & LIVEPATCH != 0))
}
