//! Waits for transitions, says what holds them up, and takes them back.

use std::time::Duration;

use crate::error::{Error, Exit, Result};
use crate::machine::Machine;
use crate::sysfs::{self, Patch};
use crate::tasks::{self, Blocker};
use crate::{show, stuck};

/// How long a transition takes where nothing holds it up: the kernel tries again each second.
const USUAL: Duration = Duration::from_secs(4);

/// How often the blockers are shown again.
const AGAIN: Duration = Duration::from_secs(15);

/// How often the kernel is asked.
const STEP: Duration = Duration::from_millis(100);

/// What to do with a transition that stalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnStall {
    /// Take it back.
    Reverse,
    /// Leave it running.
    Leave,
    /// Wait on until it ends. A service tells systemd that it has started, so that the boot goes on.
    WaitOn,
}

/// How long to wait for a transition, and what to do then.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The time.
    pub wait: Duration,
    /// What to do.
    pub on_stall: OnStall,
}

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The transition is over.
    Over,
    /// Somebody else has turned it round, and that is over.
    TurnedRound,
    /// The time is.
    Stalled,
    /// The user wants the command to end.
    Interrupted,
}

/// Waits until the patch `name`, which is being enabled or disabled as `target` says, is there. The kernel was asked for it
/// at the time `asked`.
///
/// # Errors
///
/// Those of reading and writing sysfs.
pub fn finish(
    machine: &dyn Machine,
    name: &str,
    target: bool,
    asked: Duration,
    patience: Patience,
) -> Result<Exit> {
    let verb = if target { "enabled" } else { "disabled" };
    match wait(machine, name, target, patience.wait)? {
        Wait::Over => {
            let took = machine.elapsed().saturating_sub(asked).as_secs_f64();
            show::action(machine, &format!("{name}: {verb}, {took:.1} s after the kernel was asked"));
            Ok(Exit::Done)
        }
        Wait::Stalled if patience.on_stall == OnStall::Reverse => {
            take_back(machine, name, target, patience.wait)
        }
        Wait::Stalled if patience.on_stall == OnStall::WaitOn => {
            show::action(machine, &format!("{name}: still in transition, which goes on in the background"));
            machine.has_started();
            let patience = Patience { wait: Duration::MAX, ..patience };
            finish(machine, name, target, asked, patience)
        }
        Wait::Stalled | Wait::Interrupted => Ok(left_running(machine, name, target)),
        Wait::TurnedRound => {
            show::warning(
                machine,
                &format!("{name} is not {verb}: somebody else has turned its transition round"),
            );
            Ok(Exit::Reversed)
        }
    }
}

/// Turns the patch's transition round: it goes to where `target` says.
///
/// # Errors
///
/// Those of reading and writing sysfs.
pub fn turn_round(machine: &dyn Machine, name: &str, target: bool) -> Result<()> {
    if target && let Some((other, function)) = shared(machine, name)? {
        show::warning(
            machine,
            &format!(
                "{other} redirects {function} as well: if it was enabled after {name}, this reversal may not end"
            ),
        );
        show::help(
            machine,
            &format!("a defect of the kernel; if it does not end, `klp reverse` disables {name} again"),
        );
    }
    sysfs::set_enabled(machine, name, target)
}

/// Another enabled patch that redirects a function of this one's, and that function. Where the other is the newer,
/// the kernel takes the head of its list for a function, and may find that on each stack (`klp_check_stack_func` of
/// `kernel/livepatch/transition.c`).
fn shared(machine: &dyn Machine, name: &str) -> Result<Option<(String, String)>> {
    let (this, others): (Vec<_>, Vec<_>) =
        Patch::all(machine)?.into_iter().partition(|patch| patch.name == name);
    let functions = this.iter().flat_map(|patch| &patch.objects).flat_map(|object| &object.functions);
    let mut common = functions.filter_map(|function| {
        let other = others.iter().find(|other| other.enabled && other.redirects(&function.name));
        other.map(|other| (other.name.clone(), function.name.clone()))
    });
    Ok(common.next())
}

/// Turns a transition round that stalls, and waits until all is as before.
fn take_back(machine: &dyn Machine, name: &str, target: bool, time: Duration) -> Result<Exit> {
    let verb = if target { "enabled" } else { "disabled" };
    show::action(
        machine,
        &format!("{name}: not {verb} within {}: taking it back", humantime::format_duration(time)),
    );
    match turn_round(machine, name, !target) {
        Ok(()) => {}
        // It ended at the last moment.
        Err(_) if direction(machine, name)? == Direction::Settled(target) => return Ok(Exit::Done),
        Err(error) => return Err(error),
    }
    match wait(machine, name, !target, time)? {
        Wait::Over => {
            show::action(machine, &format!("{name}: taken back; all is as before"));
            Ok(Exit::Reversed)
        }
        Wait::TurnedRound => {
            show::warning(
                machine,
                &format!("{name} is {verb} after all: somebody else has turned its transition round"),
            );
            Ok(Exit::Done)
        }
        Wait::Stalled | Wait::Interrupted => Ok(left_running(machine, name, !target)),
    }
}

/// Says that a transition goes on.
fn left_running(machine: &dyn Machine, name: &str, target: bool) -> Exit {
    let doing = if target { "being enabled" } else { "being disabled" };
    show::action(
        machine,
        &format!(
            "{name} is still {doing}: some tasks run new code, some old, and no other patch can be enabled or disabled"
        ),
    );
    show::help(machine, "`klp blockers` shows what holds it up; `klp reverse` turns it round");
    Exit::InTransition
}

/// Waits until a transition is over, and shows what holds it up.
fn wait(machine: &dyn Machine, name: &str, target: bool, time: Duration) -> Result<Wait> {
    let start = machine.elapsed();
    let mut next = USUAL;
    let mut shown: Vec<Blocker> = Vec::new();
    loop {
        match direction(machine, name)? {
            Direction::Settled(enabled) if enabled == target => return Ok(Wait::Over),
            Direction::Settled(_) => return Ok(Wait::TurnedRound),
            Direction::InTransition => {}
        }
        let waited = machine.elapsed().saturating_sub(start);
        if machine.is_interrupted() {
            return Ok(Wait::Interrupted);
        }
        let is_stalled = waited >= time;
        if (waited >= next || is_stalled)
            && let Some(patch) = Patch::find(machine, name)?
        {
            next = waited + AGAIN;
            if stuck::is_stuck(machine, &patch)? {
                return Err(Error::Stuck { patch: name.into() });
            }
            let blockers = tasks::blockers(machine, &patch)?;
            if blockers != shown {
                show::progress(
                    machine,
                    &format!("{name}: after {:.0} s, in transition", waited.as_secs_f64()),
                );
                show::progress(machine, &show::blockers(&patch.name, patch.enabled, &blockers));
                shown = blockers;
            }
        }
        if is_stalled {
            return Ok(Wait::Stalled);
        }
        machine.pause(STEP);
    }
}

/// Where a patch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// It is enabled or disabled, and no task is under way.
    Settled(bool),
    /// Tasks are under way.
    InTransition,
}

/// The kernel forgets a patch once it is disabled.
fn direction(machine: &dyn Machine, name: &str) -> Result<Direction> {
    Ok(match Patch::find(machine, name)? {
        Some(patch) if patch.transition => Direction::InTransition,
        // Between the end of its transition and the removal of its directory.
        Some(patch) if !patch.enabled => Direction::InTransition,
        Some(_) => Direction::Settled(true),
        None => Direction::Settled(false),
    })
}
