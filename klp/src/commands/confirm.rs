//! `klp confirm`: watches the patches on trial. A service runs it from the first mark on until no trial is left, or the
//! machine is shut down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::{Exit, Result};
use crate::file::ModuleFile;
use crate::guard::{Mark, Outcome, Standing, outcome};
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::plan::Candidate;
use crate::report::is_in_effect;
use crate::sysfs::Patch;
use crate::{fit, marks, show, store, stuck};

/// Arguments of `klp confirm`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    /// How long a patch must have been in effect.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    after: Duration,
}

/// Watches, until no patch of this boot is on trial. A disk that can't be written is tried again: it must not end the
/// watch, or the next shutdown in good order would look like a crash.
///
/// # Errors
///
/// Those of reading marks.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    let mut watch = Watch { machine, args, since: BTreeMap::new(), warned: BTreeSet::new() };
    if let Err(error) = marks::settle(machine) {
        watch.warn("earlier boots", &error.to_string());
    }
    let mut has_confirmed = false;
    loop {
        let trials = marks::on_trial(machine)?;
        if trials.is_empty() {
            marks::tidy_watch(machine)?;
            if has_confirmed {
                prune(machine)?;
            }
            return Ok(Exit::Done);
        }
        // A clean shutdown ends the trials, whatever has just happened.
        let is_stopping = machine.is_interrupted();
        for trial in &trials {
            match watch.judge(trial, is_stopping) {
                Ok(outcome) => has_confirmed |= outcome == Outcome::Confirm,
                Err(error) => watch.warn(&trial.build_id, &error.to_string()),
            }
        }
        if is_stopping {
            return Ok(Exit::Done);
        }
        machine.pause(Duration::from_secs(1));
    }
}

/// The watch over trials.
struct Watch<'a> {
    machine: &'a dyn Machine,
    args: &'a Args,
    /// Since when each build is in effect.
    since: BTreeMap<String, Duration>,
    /// What it has warned of.
    warned: BTreeSet<String>,
}

impl Watch<'_> {
    /// Ends a trial, if it is over.
    fn judge(&mut self, trial: &Mark, is_stopping: bool) -> Result<Outcome> {
        let outcome = outcome(standing(self.machine, trial, &mut self.since)?, self.args.after, is_stopping);
        match outcome {
            Outcome::Continue => {}
            Outcome::Drop => marks::end(self.machine, &trial.build_id)?,
            Outcome::Confirm => self.confirm(trial)?,
        }
        Ok(outcome)
    }

    /// Ends the trial of a patch that has stood it.
    fn confirm(&mut self, trial: &Mark) -> Result<()> {
        // A disk that is full must not keep the patch on trial: the next crash would be taken for its fault.
        if let Err(error) = keep(self.machine, trial) {
            let about = format!("fallback {}", trial.build_id);
            self.warn(&about, &format!("there is nothing to fall back to: {error}"));
        }
        marks::end(self.machine, &trial.build_id)?;
        show::action(self.machine, &format!("{}: confirmed", trial.name));
        marks::forgive(self.machine, &trial.build_id).map(drop)
    }

    /// Says once what is wrong, though it is found each second.
    fn warn(&mut self, about: &str, text: &str) {
        if self.warned.insert(about.into()) {
            show::warning(self.machine, text);
        }
    }
}

fn standing(machine: &dyn Machine, trial: &Mark, since: &mut BTreeMap<String, Duration>) -> Result<Standing> {
    let is_it = |module: Loaded| module.build_id.as_ref() == Some(&trial.build_id);
    let patch = match Patch::find(machine, &trial.name)? {
        Some(patch) if Loaded::find(machine, &trial.name)?.is_some_and(is_it) => patch,
        _ if since.contains_key(&trial.build_id) => return Ok(Standing::Gone),
        _ => return Ok(Standing::UnderWay),
    };
    if stuck::is_stuck(machine, &patch)? {
        return Ok(Standing::Stuck);
    }
    if !patch.enabled || patch.transition {
        return Ok(Standing::UnderWay);
    }
    let now = machine.elapsed();
    let start = *since.entry(trial.build_id.clone()).or_insert(now);
    Ok(Standing::InEffect(now.saturating_sub(start)))
}

/// Keeps a copy of the patch, to fall back to.
fn keep(machine: &dyn Machine, trial: &Mark) -> Result<()> {
    let release = fit::release(machine)?;
    let directory = store::confirmed(machine, &release);
    let (kept, _) = store::read(&directory)?;
    let (installed, _) = store::read(&store::installed(machine, &release))?;
    let is_it = |patch: &&ModuleFile| patch.build_id.as_ref() == Some(&trial.build_id);
    match installed.iter().find(is_it) {
        Some(patch) if !kept.iter().any(|kept| is_it(&kept)) => {
            store::put(&directory.join(format!("{}.ko", trial.build_id)), &patch.read()?)
        }
        _ => Ok(()),
    }
}

/// Removes the copies of patches that are neither installed nor in effect. No patch is on trial: what one has replaced
/// must be there if it fails.
fn prune(machine: &dyn Machine) -> Result<()> {
    let release = fit::release(machine)?;
    let (kept, _) = store::read(&store::confirmed(machine, &release))?;
    let (installed, _) = store::read(&store::installed(machine, &release))?;
    for patch in &kept {
        let is_installed = installed.iter().any(|other| other.build_id == patch.build_id);
        if !is_installed && !is_in_effect(machine, &Candidate::of(patch))? {
            store::remove(&patch.path)?;
        }
    }
    Ok(())
}
