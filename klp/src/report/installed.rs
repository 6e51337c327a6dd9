//! What is known of a patch that is installed.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::file::ModuleFile;
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::plan::{Candidate, Reason, plan};
use crate::store::Damaged;
use crate::sysfs::Patch;
use crate::{fit, keys, marks, store};

/// A patch that is installed for the kernel that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// Its name; that of the file where it can't be read.
    pub name: String,
    /// The linker's identification of the build.
    pub build_id: Option<String>,
    /// Who has signed the file, by its own word.
    pub signer: Option<String>,
    /// Whether this build is in effect.
    pub in_effect: bool,
    /// Whether it is on trial: if the machine goes down now, it is taken for the patch's fault.
    pub on_trial: bool,
    /// Why it is not loaded at boot, or can't be read.
    pub left_out: Option<String>,
    /// Why it can't be loaded now, all reasons; none for one that is in effect or left out.
    pub unfit: Vec<String>,
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
        let (files, damaged) = store::read(&store::installed(machine, &release))?;
        let (kept, _) = store::read(&store::confirmed(machine, &release))?;
        let candidates: Vec<_> = files.iter().map(Candidate::of).collect();
        let confirmed: Vec<_> = kept.iter().map(Candidate::of).collect();
        let plan = plan(&candidates, &confirmed, &marks::deaths(machine)?);
        let trials = marks::on_trial(machine)?;
        let of = |file: &ModuleFile, is_fallback: bool| {
            let patch = Candidate::of(file);
            let reason = plan.left_out.iter().find(|(other, _)| *other == patch).map(|(_, reason)| reason);
            let in_effect = is_in_effect(machine, &patch)?;
            Ok(Self {
                in_effect,
                on_trial: trials.iter().any(|trial| Some(&trial.build_id) == patch.build_id.as_ref()),
                left_out: reason.map(ToString::to_string),
                unfit: if in_effect || reason.is_some() { Vec::new() } else { unfit(machine, file)? },
                is_fallback,
                is_missing: !in_effect && reason.is_none_or(Reason::is_fault),
                signer: keys::signer(file),
                build_id: patch.build_id,
                name: patch.name,
            })
        };
        let mut all: Vec<_> = files.iter().map(|file| of(file, false)).collect::<Result<_>>()?;
        for file in &kept {
            let patch = Candidate::of(file);
            if plan.load.contains(&patch) && !candidates.contains(&patch) {
                all.push(of(file, true)?);
            }
        }
        all.extend(damaged.into_iter().map(Self::unreadable));
        Ok(all)
    }

    fn unreadable(damaged: Damaged) -> Self {
        Self {
            name: damaged.file,
            build_id: None,
            signer: None,
            in_effect: false,
            on_trial: false,
            left_out: Some(damaged.error.to_string()),
            unfit: Vec::new(),
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
            None if !self.unfit.is_empty() => format!("{effect}; it does not fit: {}", self.unfit.join("; ")),
            None => effect.into(),
        }
    }

    /// Who has signed it, for people.
    #[must_use]
    pub fn signed(&self) -> String {
        self.signer.as_ref().map_or_else(|| "not signed".into(), |signer| format!("signed by {signer}"))
    }
}

/// Why a patch would be refused now.
fn unfit(machine: &dyn Machine, patch: &ModuleFile) -> Result<Vec<String>> {
    match fit::check(machine, patch, false) {
        Ok(_) | Err(Error::Busy { .. } | Error::Stuck { .. }) => Ok(Vec::new()),
        Err(Error::Request { message, .. }) => Ok(vec![message]),
        Err(Error::Unfit { reasons, .. }) => Ok(reasons),
        Err(error) => Err(error),
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
