//! The marks of the guard, in files: each is written and removed by itself, so that nobody has to wait for a lock.
//!
//! | file | says |
//! | --- | --- |
//! | `/var/lib/klp/trial/BUILD` | this build is on trial: its name, the boot |
//! | `/var/lib/klp/failed/BUILD` | boots died while it was on trial: its name, the last boot, how many |
//! | `/run/klp/trial/BUILD` | starts the service that watches trials; who made the directory starts it |

use std::fs;
use std::path::PathBuf;

use crate::error::Result;
use crate::files::{names, text};
use crate::guard::{Mark, judge};
use crate::machine::Machine;
use crate::{show, store};

const TRIAL: &str = "var/lib/klp/trial";
const FAILED: &str = "var/lib/klp/failed";
const WATCHED: &str = "run/klp/trial";

/// The id of the boot that runs.
///
/// # Errors
///
/// Those of reading procfs.
pub fn boot(machine: &dyn Machine) -> Result<String> {
    Ok(text(&machine.path("proc/sys/kernel/random/boot_id"))?.unwrap_or_default())
}

/// Whether somebody watches trials: without that, each shutdown would look like a crash.
pub fn are_watched(machine: &dyn Machine) -> bool {
    machine.path(WATCHED).is_dir()
}

/// Puts a build on trial. It may be loaded then, not before.
///
/// # Errors
///
/// Those of writing the mark.
pub fn begin(machine: &dyn Machine, build_id: &str, name: &str) -> Result<()> {
    write(
        machine,
        TRIAL,
        &Mark { build_id: build_id.into(), name: name.into(), boot: boot(machine)?, deaths: 0 },
    )?;
    store::put(&machine.path(WATCHED).join(build_id), b"")
}

/// Ends the trial of a build, if it is on one.
///
/// # Errors
///
/// Those of removing the mark.
pub fn end(machine: &dyn Machine, build_id: &str) -> Result<()> {
    store::remove(&file(machine, TRIAL, build_id))?;
    store::remove(&machine.path(WATCHED).join(build_id))
}

/// Tells the service that watches trials only of those that there are: what a command leaves behind that is killed while
/// it ends a trial would start the service again and again.
///
/// # Errors
///
/// Those of reading and removing marks.
pub fn tidy_watch(machine: &dyn Machine) -> Result<()> {
    let watched = names(&machine.path(WATCHED))?;
    // Read after that: a trial has its mark before it is watched.
    let trials = on_trial(machine)?;
    for build_id in watched.iter().filter(|watched| !trials.iter().any(|trial| trial.build_id == **watched)) {
        store::remove(&machine.path(WATCHED).join(build_id))?;
    }
    Ok(())
}

/// The builds on trial in this boot.
///
/// # Errors
///
/// Those of reading marks.
pub fn on_trial(machine: &dyn Machine) -> Result<Vec<Mark>> {
    let boot = boot(machine)?;
    Ok(read(machine, TRIAL)?.into_iter().filter(|mark| mark.boot == boot).collect())
}

/// The builds with which boots died.
///
/// # Errors
///
/// Those of reading marks.
pub fn deaths(machine: &dyn Machine) -> Result<Vec<Mark>> {
    let mut deaths = read(machine, FAILED)?;
    // Those of the last boot may not be written yet, and cannot be on a disk that is full.
    for death in judge(&read(machine, TRIAL)?, &deaths, &boot(machine)?) {
        deaths.retain(|mark| mark.build_id != death.build_id);
        deaths.push(death);
    }
    Ok(deaths)
}

/// Makes deaths of the marks that boots which died have left, and says so.
///
/// # Errors
///
/// Those of reading and writing marks.
pub fn settle(machine: &dyn Machine) -> Result<()> {
    for death in judge(&read(machine, TRIAL)?, &read(machine, FAILED)?, &boot(machine)?) {
        show::action(machine, &format!("{}: the machine went down while it was on trial", death.name));
        write(machine, FAILED, &death)?;
        store::remove(&file(machine, TRIAL, &death.build_id))?;
    }
    Ok(())
}

/// Forgets the deaths of a build; returns whether there were any.
///
/// # Errors
///
/// Those of removing the mark.
pub fn forgive(machine: &dyn Machine, build_id: &str) -> Result<bool> {
    let failed = file(machine, FAILED, build_id);
    let had = failed.exists();
    store::remove(&failed)?;
    Ok(had)
}

fn file(machine: &dyn Machine, kind: &str, build_id: &str) -> PathBuf {
    machine.path(kind).join(build_id)
}

fn write(machine: &dyn Machine, kind: &str, mark: &Mark) -> Result<()> {
    let text = format!("{}\n{}\n{}\n", mark.name, mark.boot, mark.deaths);
    store::put(&file(machine, kind, &mark.build_id), text.as_bytes())
}

/// A file that is no mark is no reason not to start the machine's patches.
fn read(machine: &dyn Machine, kind: &str) -> Result<Vec<Mark>> {
    let mark = |build_id: String| {
        let text = fs::read_to_string(file(machine, kind, &build_id)).ok()?;
        let mut lines = text.lines();
        let (name, boot) = (lines.next()?.into(), lines.next()?.into());
        Some(Mark { build_id, name, boot, deaths: lines.next()?.parse().ok()? })
    };
    // A file that was being written when the machine died has another name.
    let builds = names(&machine.path(kind))?.into_iter().filter(|name| !name.starts_with('.'));
    Ok(builds.filter_map(mark).collect())
}
