//! A loader that died: its task oopsed in a callback, in the midst of enabling a patch. The kernel's livepatch mutex
//! stays locked, and whoever loads any module from then on waits for ever.

use crate::error::{Error, Result};
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::sysfs::Patch;
use crate::tasks;

/// Whether the loader of a patch has died in it: the kernel shows its transition, the module's init function has not
/// returned, and no task is in it.
///
/// # Errors
///
/// Those of reading sysfs and procfs.
pub fn is_stuck(machine: &dyn Machine, patch: &Patch) -> Result<bool> {
    let in_init = Loaded::find(machine, &patch.name)?.is_some_and(|module| !module.is_live);
    Ok(patch.transition && in_init && tasks::is_loading(machine)? == Some(false))
}

/// Refuses to touch livepatches where that would wait for ever.
///
/// # Errors
///
/// [`Error::Stuck`].
pub fn check(machine: &dyn Machine) -> Result<()> {
    match Patch::in_transition(machine)? {
        Some(patch) if is_stuck(machine, &patch)? => Err(Error::Stuck { patch: patch.name }),
        _ => Ok(()),
    }
}
