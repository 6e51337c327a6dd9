//! `klp unload`: disables a patch, and removes its module once no task runs its code.

use crate::commands::{PatienceArgs, load};
use crate::error::{Error, Exit, Result};
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::sysfs::{self, Patch};
use crate::transition::{self, Patience};
use crate::{marks, stuck};

/// Arguments of `klp unload`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The patch, by the name of its module.
    #[arg(value_name = "NAME")]
    patch: String,

    #[command(flatten)]
    patience: PatienceArgs,
}

/// Unloads the patch that the arguments name.
///
/// # Errors
///
/// Those of [`unload`].
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    unload(machine, &args.patch, args.patience.into())
}

/// Unloads a patch.
///
/// # Errors
///
/// There is none of this name, or another transition is running.
pub(super) fn unload(machine: &dyn Machine, name: &str, patience: Patience) -> Result<Exit> {
    stuck::check(machine)?;
    let Some(patch) = Patch::find(machine, name)? else {
        if !Loaded::livepatches(machine)?.iter().any(|module| module.name == name) {
            return Err(Error::Request {
                message: format!("no livepatch {name} is loaded"),
                help: "`klp status` shows all patches".into(),
            });
        }
        load::remove(machine, name)?;
        return Ok(Exit::Done);
    };
    if let Some(other) = Patch::in_transition(machine)?
        && (other.name != name || patch.enabled)
    {
        return Err(Error::Busy { patch: other.name });
    }
    let asked = machine.elapsed();
    if patch.enabled {
        sysfs::set_enabled(machine, name, false)?;
    }
    let exit = transition::finish(machine, name, false, asked, patience)?;
    if exit == Exit::Done {
        if let Some(build_id) = Loaded::find(machine, name)?.and_then(|module| module.build_id) {
            marks::end(machine, &build_id)?;
        }
        load::remove(machine, name)?;
    }
    Ok(exit)
}
