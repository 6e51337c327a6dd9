//! `klp load --all`: what a service runs at boot.

use crate::commands::load::{OnBlindGuard, load};
use crate::error::{Error, Exit, Result};
use crate::file::ModuleFile;
use crate::files::text;
use crate::machine::Machine;
use crate::plan::{Candidate, plan};
use crate::report::is_in_effect;
use crate::transition::Patience;
use crate::{fit, marks, show, store};

/// The boot parameter that turns it off.
const OFF: &str = "klp.enable=0";

/// Loads what is installed for the kernel that runs, and says what is left out. One patch that fails does not keep the
/// others from being loaded.
///
/// # Errors
///
/// Those of reading files.
pub fn main(machine: &dyn Machine, patience: Patience) -> Result<Exit> {
    let exit = load_all(machine, patience)?;
    if exit == Exit::Done {
        machine.has_started();
    }
    Ok(exit)
}

fn load_all(machine: &dyn Machine, patience: Patience) -> Result<Exit> {
    // Before anything else: what a boot has died of must be known, whatever this one does.
    if let Err(error) = marks::settle(machine) {
        show::warning(machine, &error.to_string());
    }
    if text(&machine.path("proc/cmdline"))?.unwrap_or_default().split_whitespace().any(|word| word == OFF) {
        show::action(machine, &format!("no patch is loaded: {OFF} is among the boot parameters"));
        return Ok(Exit::Done);
    }
    let release = fit::release(machine)?;
    let (installed, damaged) = store::read(&store::installed(machine, &release))?;
    let (confirmed, _) = store::read(&store::confirmed(machine, &release))?;
    let candidates = |files: &[ModuleFile]| files.iter().map(Candidate::of).collect::<Vec<_>>();
    let (kept, deaths) = (candidates(&confirmed), marks::deaths(machine)?);
    let plan = plan(&candidates(&installed), &kept, &deaths);
    if !plan.load.is_empty() && !marks::are_watched(machine) {
        show::warning(machine, "nobody watches trials: a patch that brings the machine down is loaded again");
        show::help(machine, "`systemctl enable --now klp-confirm.path` starts the watch");
    }
    let mut exit = Exit::Done;
    for file in &damaged {
        show::action(machine, &file.error.to_string());
        exit = Exit::NotInEffect;
    }
    for (patch, reason) in &plan.left_out {
        show::action(machine, &format!("{}: left out: {reason}", patch.name));
        if reason.is_fault() {
            exit = Exit::NotInEffect;
        }
    }
    for patch in &plan.load {
        let is_it = |file: &&ModuleFile| file.build_id == patch.build_id && file.name == patch.name;
        let Some(file) = installed.iter().chain(&confirmed).find(is_it) else { continue };
        if !installed.iter().any(|file| is_it(&file)) {
            show::action(machine, &format!("{}: the last confirmed patch is loaded instead", patch.name));
        }
        let is_confirmed = kept.iter().any(|kept| kept.build_id == patch.build_id);
        let on_blind_guard = if is_confirmed { OnBlindGuard::Load } else { OnBlindGuard::LeaveOut };
        match load(machine, file, patience, false, on_blind_guard) {
            Ok(Exit::Done) => {}
            // No other patch can be loaded until it ends.
            Ok(Exit::InTransition) => return Ok(Exit::InTransition),
            Ok(_) => exit = Exit::NotInEffect,
            Err(error @ (Error::Stuck { .. } | Error::Busy { .. })) => return Err(error),
            Err(error) => {
                show::action(machine, &format!("{}: left out: {}", patch.name, one_line(&error)));
                if let Some(help) = error.help() {
                    show::help(machine, &help);
                }
                exit = Exit::NotInEffect;
            }
        }
    }
    // A patch in C may have replaced those before it: nothing but the kernel could tell.
    for patch in &plan.load {
        if exit == Exit::Done && !is_in_effect(machine, patch)? {
            show::action(machine, &format!("{}: loaded, and not in effect", patch.name));
            exit = Exit::NotInEffect;
        }
    }
    Ok(exit)
}

/// The kernel log takes a line.
fn one_line(error: &Error) -> String {
    error.to_string().lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
