//! What is known of a patch that is installed.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::plan::{Candidate, Reason, plan};
use crate::sysfs::Patch;
use crate::{fit, marks, store};

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
    /// Whether it is not installed any more, but loaded at boot: the last confirmed patch, in place of one that is left
    /// out.
    pub is_fallback: bool,
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
        let of = |patch: &Candidate, is_fallback: bool| {
            let reason = plan.left_out.iter().find(|(other, _)| other == patch).map(|(_, reason)| reason);
            let in_effect = is_in_effect(machine, patch)?;
            Ok(Self {
                name: patch.name.clone(),
                build_id: patch.build_id.clone(),
                in_effect,
                on_trial: trials.iter().any(|trial| Some(&trial.build_id) == patch.build_id.as_ref()),
                left_out: reason.map(ToString::to_string),
                is_fallback,
                is_missing: !in_effect && reason.is_none_or(Reason::is_fault),
            })
        };
        let fallbacks = plan.load.iter().filter(|patch| !candidates.contains(patch));
        let mut all: Vec<_> = candidates.iter().map(|patch| of(patch, false)).collect::<Result<_>>()?;
        for patch in fallbacks {
            all.push(of(patch, true)?);
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
            is_fallback: false,
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
            None if self.is_fallback => {
                format!("the last confirmed patch, in place of one that is left out; {effect}")
            }
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
