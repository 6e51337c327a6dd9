//! What is known of a patch that the kernel knows.

use std::collections::BTreeMap;

use klp_format::STATE_BLOCK_DISABLE;
use serde::Serialize;

use crate::dump::Dumped;
use crate::error::Result;
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::report::SignatureReport;
use crate::sysfs::{Object, Patch};
use crate::tasks::{self, Blocker};
use crate::{record, stuck};

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
    /// Its signature.
    pub signature: SignatureReport,
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
    /// What of it is on pages that the dump lacks; nothing of a machine that runs.
    pub missing: Vec<&'static str>,
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

impl PatchReport {
    /// Looks at a patch and its module.
    ///
    /// # Errors
    ///
    /// Those of reading sysfs and procfs.
    pub(super) fn of(machine: &dyn Machine, patch: Patch, module: Loaded) -> Result<Self> {
        let phase = if stuck::is_stuck(machine, &patch)? { Phase::Stuck } else { Phase::of(&patch) };
        let blockers = if patch.transition { tasks::blockers(machine, &patch)? } else { Vec::new() };
        let forced = record::is_forced(machine, &patch.name);
        let loading = record::loading(machine, &patch.name);
        let since = loading.as_ref().map(|loading| loading.since);
        let signature = SignatureReport::of(machine, &module, loading.and_then(|loading| loading.signer));
        Ok(Self {
            phase,
            since: since.map(|since| humantime::format_rfc3339_seconds(since).to_string()),
            forced,
            blockers,
            ..Self::new(patch, &module, signature)
        })
    }

    /// Looks at what a dump has.
    pub(super) fn of_dump(dumped: Dumped, module: &Loaded, blockers: Vec<Blocker>, verifies: bool) -> Self {
        let signature = SignatureReport::new(verifies, module, None);
        Self {
            forced: dumped.forced,
            missing: dumped.missing,
            blockers,
            ..Self::new(dumped.patch, module, signature)
        }
    }

    /// What the patch and its module say themselves.
    fn new(patch: Patch, module: &Loaded, signature: SignatureReport) -> Self {
        let about = module.about.as_ref();
        let series = about.and_then(|about| about.series());
        Self {
            phase: Phase::of(&patch),
            since: None,
            version: module.version.clone(),
            series: series.map(|(name, revision)| Series { name: name.into(), revision }),
            fixes: about.map(|about| about.fixes.clone()).unwrap_or_default(),
            build_id: module.build_id.clone(),
            srcversion: module.srcversion.clone(),
            signature,
            replace: patch.replace.or(about.map(|about| about.replaces())),
            stack_order: patch.stack_order,
            is_klp: about.is_some(),
            states: states(module),
            forced: false,
            taint: module.taint.clone(),
            objects: patch.objects,
            name: patch.name,
            blockers: Vec::new(),
            missing: Vec::new(),
        }
    }
}

impl Phase {
    /// Where a patch is by what the kernel says; it does not say of itself that it is stuck.
    fn of(patch: &Patch) -> Self {
        match (patch.transition, patch.enabled) {
            (true, true) => Self::Enabling,
            (false, true) => Self::Enabled,
            (_, false) => Self::Disabling,
        }
    }
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
pub(super) fn name_providers(patches: &mut [PatchReport]) {
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
