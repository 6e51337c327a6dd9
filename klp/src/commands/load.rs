//! `klp load`: looks at a patch, loads it, and waits until it is in effect.

use std::path::Path;
use std::time::Duration;

use crate::commands::{PatienceArgs, load_all};
use crate::error::{Error, Exit, Result};
use crate::file::ModuleFile;
use crate::fit::{self, Fit};
use crate::loaded::{self, Loaded};
use crate::log::{self, Log};
use crate::machine::Machine;
use crate::report::Installed;
use crate::sysfs::Patch;
use crate::transition::Patience;
use crate::{keys, marks, record, show, store, transition};

/// Arguments of `klp load`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The patch: a .ko file, with `/` or `.ko` in its name, or the name of a patch that is installed for the kernel that runs.
    #[arg(value_name = "FILE|NAME", required_unless_present = "all")]
    patch: Option<String>,

    /// Load what is installed for the kernel that runs, as at boot. The boot parameter klp.enable=0 turns this off.
    #[arg(long, conflicts_with_all = ["patch", "allow_downgrade"])]
    all: bool,

    #[command(flatten)]
    patience: PatienceArgs,

    /// Load an installed patch only if it is loaded at boot, too: not one that brought the machine down. For packages.
    #[arg(long, conflicts_with = "all")]
    as_at_boot: bool,

    /// Replace a patch of the same series with a higher revision; its fixes are lost.
    #[arg(long)]
    allow_downgrade: bool,
}

/// Loads a patch, or all that are installed.
///
/// # Errors
///
/// It does not fit, or the kernel refuses it; nothing has changed then.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    let Some(patch) = &args.patch else { return load_all::main(machine, args.patience.into()) };
    let patch = find(machine, patch)?;
    if args.as_at_boot {
        check_left_out(machine, &patch)?;
    }
    // Who asks for this patch knows better than the guard.
    if let Some(build_id) = &patch.build_id {
        match marks::forgive(machine, build_id) {
            Ok(false) => {}
            Ok(true) => {
                let name = &patch.name;
                show::progress(machine, &format!("{name}: loaded at boot again, if it is installed"));
            }
            Err(error) => show::warning(machine, &format!("{}: not loaded at boot: {error}", patch.name)),
        }
    }
    load(machine, &patch, args.patience.into(), args.allow_downgrade, OnBlindGuard::Load)
}

/// The patch in a file, or the one that is installed under a name.
fn find(machine: &dyn Machine, patch: &str) -> Result<ModuleFile> {
    let path = Path::new(patch);
    if patch.contains('/') || patch.ends_with(".ko") {
        return ModuleFile::open(path);
    }
    // Not a file of this name: the directory may be one that others write to.
    let release = fit::release(machine)?;
    let (installed, _) = store::read(&store::installed(machine, &release))?;
    installed.into_iter().find(|module| module.name == patch).ok_or_else(|| Error::Request {
        message: format!("no patch {patch} is installed for {release}"),
        help: if path.is_file() {
            format!("`klp load ./{patch}` loads the file of this name")
        } else {
            "`klp list` shows what is installed; a file needs its path, or `.ko` at its end".into()
        },
    })
}

/// Refuses a patch that the next boot leaves out.
fn check_left_out(machine: &dyn Machine, patch: &ModuleFile) -> Result<()> {
    let name = &patch.name;
    let installed = Installed::all(machine)?;
    let is_it = |other: &&Installed| other.build_id == patch.build_id && other.name == *name;
    match installed.iter().find(is_it).and_then(|installed| installed.left_out.as_ref()) {
        Some(reason) => Err(Error::Request {
            message: format!("{name} was not loaded: {reason}"),
            help: format!("`klp load {name}` loads it all the same"),
        }),
        None => Ok(()),
    }
}

/// What to do with a patch that can't be put on trial: the disk is full, or can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnBlindGuard {
    /// Load it; somebody is there to see what happens.
    Load,
    /// Leave it out.
    LeaveOut,
}

/// Loads one patch; on trial, if it is one that is loaded at boot.
pub(super) fn load(
    machine: &dyn Machine,
    patch: &ModuleFile,
    patience: Patience,
    allow_downgrade: bool,
    on_blind_guard: OnBlindGuard,
) -> Result<Exit> {
    let name = &patch.name;
    if fit::check(machine, patch, allow_downgrade)? == Fit::IsEnabled {
        show::progress(machine, &format!("{name}: this build of it is enabled already"));
        return Ok(Exit::Done);
    }
    let before = Patch::all(machine)?;
    let trial = begin_trial(machine, patch, on_blind_guard)?;
    let asked = machine.elapsed();
    let loaded =
        insert(machine, patch, allow_downgrade).and_then(|()| wait(machine, patch, asked, patience, before));
    let is_over = match &loaded {
        Ok(exit) => *exit == Exit::Reversed,
        // Another command may have loaded it at the same time.
        Err(Error::Kernel { .. }) => Loaded::find(machine, name)?.is_none(),
        Err(_) => false,
    };
    // It is not in memory any more. Had this task died in it, the mark would stay.
    if let Some(build_id) = trial
        && is_over
    {
        marks::end(machine, build_id)?;
    }
    loaded
}

/// Puts a patch on trial that is loaded at boot; returns its build ID then.
fn begin_trial<'a>(
    machine: &dyn Machine,
    patch: &'a ModuleFile,
    on_blind_guard: OnBlindGuard,
) -> Result<Option<&'a str>> {
    let Some(build_id) = patch.build_id.as_deref().filter(|_| marks::are_watched(machine)) else {
        return Ok(None);
    };
    let release = fit::release(machine)?;
    let mut at_boot = Vec::new();
    for directory in [store::installed(machine, &release), store::confirmed(machine, &release)] {
        at_boot.extend(store::read(&directory)?.0);
    }
    if !at_boot.iter().any(|other| other.build_id == patch.build_id) {
        return Ok(None);
    }
    match marks::begin(machine, build_id, &patch.name) {
        Ok(()) => Ok(Some(build_id)),
        Err(error) if on_blind_guard == OnBlindGuard::Load => {
            let name = &patch.name;
            show::warning(
                machine,
                &format!("{name}: if it brings the machine down, the next boot loads it again: {error}"),
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Waits until a patch that was loaded is in effect, and removes what it has replaced.
fn wait(
    machine: &dyn Machine,
    patch: &ModuleFile,
    asked: Duration,
    patience: Patience,
    before: Vec<Patch>,
) -> Result<Exit> {
    let name = &patch.name;
    record::loaded(machine, name, keys::signer(patch).as_deref());
    if Patch::find(machine, name)?.is_none() {
        show::progress(
            machine,
            &format!("{name}: loaded; it enables nothing, as its init hook has left everything out"),
        );
        return Ok(Exit::Done);
    }
    let exit = transition::finish(machine, name, true, asked, patience)?;
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
    let path = patch.path.display();
    let signed = keys::signed_by(patch);
    log::write(machine, &format!("{name}: loading {path}, build ID {build}, {signed}"));
    // Only a patch of a series has the parameter; another module would be loaded with a warning.
    let is_of_series = patch.about.as_ref().is_some_and(|about| about.series().is_some());
    let parameters = if allow_downgrade && is_of_series { c"klp_allow_downgrade=1" } else { c"" };
    let mut kernel_log = Log::new(machine);
    machine.insert(&patch.file, parameters).map_err(|errno| Error::Kernel {
        name: name.clone(),
        errno,
        log: kernel_log.lines_of(name),
        help: keys::help(machine, patch, errno),
    })
}

/// Unloads the module of a patch that has been replaced.
fn remove_replaced(machine: &dyn Machine, name: &str) -> Result<()> {
    if Patch::find(machine, name)?.is_some() {
        return Ok(());
    }
    let Some(module) = Loaded::find(machine, name)? else { return Ok(()) };
    // It may be gone before the watch has seen it in effect.
    if let Some(build_id) = &module.build_id {
        marks::end(machine, build_id)?;
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
            return Err(Error::Kernel { name: name.into(), errno, log: Vec::new(), help: None });
        }
    }
    Ok(())
}
