//! `klp blockers`: the tasks that hold up the running transition.

use crate::commands::in_transition;
use crate::error::{Exit, Result};
use crate::machine::Machine;
use crate::{show, stuck, tasks};

/// Arguments of `klp blockers`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the tasks.
///
/// # Errors
///
/// No transition is running.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    stuck::check(machine)?;
    let patch = in_transition(machine)?;
    let blockers = tasks::blockers(machine, &patch)?;
    if args.json {
        show::json(machine, &blockers);
    } else {
        show::text(
            machine,
            &format!("{}: {}", patch.name, show::blockers(&patch.name, patch.enabled, &blockers)),
        );
    }
    Ok(Exit::InTransition)
}
