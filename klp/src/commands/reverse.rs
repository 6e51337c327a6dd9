//! `klp reverse`: reverses the running transition.

use std::time::Duration;

use crate::commands::{in_transition, load};
use crate::error::{Exit, Result};
use crate::machine::Machine;
use crate::stuck;
use crate::transition::{self, OnStall, Patience};

/// Arguments of `klp reverse`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long the reversal may take.
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

/// Reverses the transition, and waits until that is done.
///
/// # Errors
///
/// No transition is running.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    stuck::check(machine)?;
    let patch = in_transition(machine)?;
    let target = !patch.enabled;
    let asked = machine.elapsed();
    transition::turn_round(machine, &patch.name, target)?;
    let patience = Patience { wait: args.wait, on_stall: OnStall::Leave };
    let exit = transition::finish(machine, &patch.name, target, asked, patience)?;
    if exit == Exit::Done && !target {
        load::remove(machine, &patch.name)?;
    }
    Ok(exit)
}
