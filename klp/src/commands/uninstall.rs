//! `klp uninstall`: takes a patch away from those that are loaded at boot.

use crate::commands::install::is_name;
use crate::error::{Error, Exit, Result};
use crate::machine::Machine;
use crate::sysfs::Patch;
use crate::{fit, show, store};

/// Arguments of `klp uninstall`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The patch, by the name of its module.
    #[arg(value_name = "NAME")]
    patch: String,

    /// The kernel release that it is installed for; by default the one that runs.
    #[arg(short, long, value_name = "RELEASE")]
    kernel: Option<String>,
}

/// Uninstalls a patch, and forgets that it may be fallen back to. One that is in effect stays so until the next boot.
///
/// # Errors
///
/// It is not installed.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    let name = &args.patch;
    let running = fit::release(machine)?;
    let release = args.kernel.as_ref().unwrap_or(&running);
    let mut files = Vec::new();
    if is_name(release) {
        for directory in [store::installed(machine, release), store::confirmed(machine, release)] {
            let (patches, _) = store::read(&directory)?;
            files.extend(patches.into_iter().filter(|patch| patch.name == *name).map(|patch| patch.path));
        }
    }
    if files.is_empty() {
        return Err(Error::Request {
            message: format!("{name} is not installed for {release}"),
            help: "`klp list` shows what is installed".into(),
        });
    }
    for file in files {
        store::remove(&file)?;
    }
    show::action(machine, &format!("{name}: no longer installed for {release}"));
    if *release == running && Patch::find(machine, name)?.is_some() {
        show::progress(
            machine,
            &format!("{name}: in effect until the next boot; `klp unload {name}` ends it now"),
        );
    }
    Ok(Exit::Done)
}
