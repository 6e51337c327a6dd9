//! The commands: each a file, with its arguments, what it does, and what it prints.

pub mod blockers;
pub mod confirm;
pub mod force;
pub mod install;
pub mod list;
pub mod load;
mod load_all;
pub mod metrics;
pub mod reverse;
pub mod status;
pub mod uninstall;
pub mod unload;

use std::time::Duration;

use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::sysfs::Patch;
use crate::transition::{OnStall, Patience};

/// Arguments of the commands that wait for a transition.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct PatienceArgs {
    /// How long the transition may take.
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = humantime::parse_duration)]
    wait: Duration,

    /// What to do with a transition that takes longer.
    #[arg(long, value_name = "ACTION", default_value = "reverse")]
    on_stall: OnStall,
}

impl From<PatienceArgs> for Patience {
    fn from(args: PatienceArgs) -> Self {
        Self { wait: args.wait, on_stall: args.on_stall }
    }
}

/// The patch in transition, which commands that take no name are for.
fn in_transition(machine: &dyn Machine) -> Result<Patch> {
    Patch::in_transition(machine)?.ok_or_else(|| Error::Request {
        message: "no patch is in transition".into(),
        help: "`klp status` shows all patches".into(),
    })
}
