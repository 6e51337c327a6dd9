//! `klp load`: looks at a patch, loads it, and waits until it is in effect.

use std::path::PathBuf;

use crate::commands::PatienceArgs;
use crate::error::{Error, Exit, Result};
use crate::file::ModuleFile;
use crate::fit::{self, Fit};
use crate::loaded::{self, Loaded};
use crate::log::{self, Log};
use crate::machine::Machine;
use crate::sysfs::Patch;
use crate::{record, show, transition};

/// Arguments of `klp load`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The patch: a .ko file.
    #[arg(value_name = "FILE")]
    patch: PathBuf,

    #[command(flatten)]
    patience: PatienceArgs,

    /// Replace a patch of the same series with a higher revision; its fixes are lost.
    #[arg(long)]
    allow_downgrade: bool,
}

/// Loads a patch.
///
/// # Errors
///
/// It does not fit, or the kernel refuses it; nothing has changed then.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    let patch = ModuleFile::open(&args.patch)?;
    let name = &patch.name;
    if fit::check(machine, &patch, args.allow_downgrade)? == Fit::IsEnabled {
        show::progress(machine, &format!("{name}: this build of it is enabled already"));
        return Ok(Exit::Done);
    }
    let before = Patch::all(machine)?;
    insert(machine, &patch, args.allow_downgrade)?;
    record::loaded(machine, name);
    if Patch::find(machine, name)?.is_none() {
        show::progress(
            machine,
            &format!("{name}: loaded; it enables nothing, as its init hook has left everything out"),
        );
        return Ok(Exit::Done);
    }
    let exit = transition::finish(machine, name, true, args.patience.into())?;
    match exit {
        Exit::Done => {
            for old in before {
                remove_replaced(machine, &old.name)?;
            }
        }
        Exit::Reversed => remove(machine, name)?,
        _ => {}
    }
    Ok(exit)
}

fn insert(machine: &dyn Machine, patch: &ModuleFile, allow_downgrade: bool) -> Result<()> {
    let name = &patch.name;
    let build = patch.build_id.as_deref().unwrap_or("unknown");
    log::write(machine, &format!("{name}: loading {}, build ID {build}", patch.path.display()));
    // Only a patch of a series has the parameter; another module would be loaded with a warning.
    let is_of_series = patch.about.as_ref().is_some_and(|about| about.series().is_some());
    let parameters = if allow_downgrade && is_of_series { c"klp_allow_downgrade=1" } else { c"" };
    let mut kernel_log = Log::new(machine);
    machine.insert(&patch.file, parameters).map_err(|errno| Error::Kernel {
        name: name.clone(),
        errno,
        log: kernel_log.lines_of(name),
    })
}

/// Unloads the module of a patch that has been replaced.
fn remove_replaced(machine: &dyn Machine, name: &str) -> Result<()> {
    if Patch::find(machine, name)?.is_some() || Loaded::find(machine, name)?.is_none() {
        return Ok(());
    }
    show::progress(machine, &format!("{name}: replaced"));
    remove(machine, name)
}

/// Unloads a module that is disabled; says so where it stays.
pub(super) fn remove(machine: &dyn Machine, name: &str) -> Result<()> {
    match loaded::remove(machine, name) {
        Ok(true) => {
            record::gone(machine, name);
            show::progress(machine, &format!("{name}: unloaded"));
        }
        Ok(false) => {
            show::warning(
                machine,
                &format!(
                    "the module {name} stays in memory: its transition was forced, or one of its states is held"
                ),
            );
        }
        Err(errno) => {
            return Err(Error::Kernel { name: name.into(), errno, log: Vec::new() });
        }
    }
    Ok(())
}
