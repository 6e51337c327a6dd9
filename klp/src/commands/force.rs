//! `klp force`: ends the running transition, whatever code tasks still run. It asks for a sentence first.

use std::time::Duration;

use crate::commands::in_transition;
use crate::error::{Error, Exit, Result};
use crate::machine::Machine;
use crate::sysfs::Patch;
use crate::transition::{self, OnStall, Patience};
use crate::{log, record, show, stuck, sysfs, tasks};

/// Arguments of `klp force`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The sentence that the command asks for, in place of typing it.
    #[arg(long, value_name = "TEXT")]
    sentence: Option<String>,
}

/// Forces the transition.
///
/// # Errors
///
/// No transition is running, or the sentence is another one.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    stuck::check(machine)?;
    let patch = in_transition(machine)?;
    let blockers = tasks::blockers(machine, &patch)?;
    let wanted = sentence(&patch);
    show::progress(machine, &show::blockers(&patch.name, patch.enabled, &blockers));
    show::progress(machine, &losses(&patch));
    let typed = match &args.sentence {
        Some(sentence) => sentence.clone(),
        None => machine.ask(&format!("Type `{wanted}` to go on: ")),
    };
    let refusal = match typed.trim() {
        _ if machine.is_interrupted() => Some("interrupted"),
        typed if typed == wanted => None,
        _ => Some("the sentence is another one"),
    };
    if let Some(why) = refusal {
        return Err(Error::Request {
            message: format!("the transition was not forced: {why}"),
            help: format!("to force it, type or give with --sentence: {wanted}"),
        });
    }
    for blocker in &blockers {
        log::write(
            machine,
            &format!("{}: {} (pid {}) is still in it", patch.name, blocker.name, blocker.pid),
        );
    }
    log::write(machine, &format!("{}: its transition is forced", patch.name));
    record::forced(machine, &patch.name);
    let asked = machine.elapsed();
    sysfs::force(machine, &patch.name)?;
    let patience = Patience { wait: Duration::from_secs(10), on_stall: OnStall::Leave };
    transition::finish(machine, &patch.name, patch.enabled, asked, patience)
}

/// What must be typed.
fn sentence(patch: &Patch) -> String {
    format!("force {}, whatever its tasks do", patch.name)
}

/// What is lost; S21 of klp's rules says what becomes of states.
fn losses(patch: &Patch) -> String {
    let name = &patch.name;
    let stays = if patch.enabled {
        "modules that it replaces can never be unloaded, until the machine is started again".to_owned()
    } else {
        format!("the module {name} can never be unloaded, until the machine is started again")
    };
    format!(
        "Forcing the transition of {name} means:\n  \
         - the tasks above go on in the code that they should leave, as if nothing had changed: what the patch \
         takes for granted may not hold for them, and the machine may crash or lose data;\n  \
         - {stays};\n  \
         - memory that its states and shadow variables have is never freed.\n\
         `klp reverse` turns the transition round instead, and loses nothing."
    )
}
