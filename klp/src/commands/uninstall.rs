//! `klp uninstall`: takes a patch away from those that are loaded at boot.

use std::path::PathBuf;

use crate::commands::install::is_name;
use crate::commands::{PatienceArgs, unload};
use crate::error::{Error, Exit, Result};
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::plan::Candidate;
use crate::report::is_in_effect;
use crate::sysfs::Patch;
use crate::{fit, show, store};

/// Arguments of `klp uninstall`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The patch, by the name of its module, or of its file.
    #[arg(value_name = "NAME")]
    patch: String,

    /// The kernel release that it is installed for; by default the one that runs.
    #[arg(short, long, value_name = "RELEASE")]
    kernel: Option<String>,

    /// Unload it first, and the confirmed patch that stands in for it. If one can't be unloaded, it stays installed.
    #[arg(long)]
    now: bool,

    /// Change nothing, and list what `--now` would unload, with what it fixes.
    #[arg(long, requires = "now")]
    dry_run: bool,

    #[command(flatten)]
    patience: PatienceArgs,
}

/// Uninstalls a patch, and forgets that it may be fallen back to.
///
/// # Errors
///
/// It is not installed.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    // `klp list` has a file that can't be read under the name of the file.
    let name = store::module_name(&args.patch);
    let running = fit::release(machine)?;
    let release = args.kernel.as_ref().unwrap_or(&running);
    let mut files = Vec::new();
    if is_name(release) {
        for directory in [store::installed(machine, release), store::confirmed(machine, release)] {
            let (patches, damaged) = store::read(&directory)?;
            files.extend(patches.into_iter().filter(|patch| patch.name == name).map(|patch| patch.path));
            let damaged = damaged.iter().filter(|damaged| store::module_name(&damaged.file) == name);
            files.extend(damaged.map(|damaged| directory.join(&damaged.file)));
        }
    }
    if files.is_empty() {
        return Err(Error::Request {
            message: format!("{name} is not installed for {release}"),
            help: "`klp list` shows what is installed".into(),
        });
    }
    if args.now && *release == running {
        let loaded = loaded_for(machine, name)?;
        if args.dry_run {
            for loaded in loaded {
                show::text(machine, &lost(machine, &loaded)?);
            }
            return Ok(Exit::Done);
        }
        for loaded in loaded {
            let exit = unload::unload(machine, &loaded, args.patience.into())?;
            if exit != Exit::Done {
                return Ok(exit);
            }
        }
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

/// A line on what a patch does for the machine.
fn lost(machine: &dyn Machine, patch: &str) -> Result<String> {
    let about = Loaded::find(machine, patch)?.and_then(|module| module.about);
    let fixes = about.map(|about| about.fixes.join(", ")).filter(|fixes| !fixes.is_empty());
    Ok(format!("{patch}{}", fixes.map(|fixes| format!(": {fixes}")).unwrap_or_default()))
}

/// What is loaded of a patch: itself, and the confirmed patch in its place.
fn loaded_for(machine: &dyn Machine, name: &str) -> Result<Vec<String>> {
    let release = fit::release(machine)?;
    let read = |directory: PathBuf| {
        let (files, _) = store::read(&directory)?;
        Ok(files.iter().map(Candidate::of).collect::<Vec<_>>())
    };
    let installed = read(store::installed(machine, &release))?;
    let confirmed = read(store::confirmed(machine, &release))?;
    let mut loaded = Vec::new();
    if Patch::find(machine, name)?.is_some() {
        loaded.push(name.to_owned());
    }
    let Some(patch) = installed.iter().find(|patch| patch.name == name) else { return Ok(loaded) };
    for other in confirmed.iter().filter(|other| patch.stands_for(other) && other.name != name) {
        let is_installed = installed.iter().any(|patch| patch.build_id == other.build_id);
        if !is_installed && is_in_effect(machine, other)? {
            loaded.push(other.name.clone());
        }
    }
    Ok(loaded)
}
