//! Livepatches as the kernel shows them in `/sys/kernel/livepatch`: the one place that knows which release shows what.
//!
//! | file | where | since |
//! | --- | --- | --- |
//! | `enabled`, `transition`, `force` | patch | 4.0, 4.12, 4.15 |
//! | `replace` | patch | 6.11 |
//! | `stack_order` | patch | 6.14 |
//! | `patched` | object | 6.1 |
//!
//! What a release lacks is `None`; nothing here needs more than the first line. A directory in the patch is an
//! object, a directory in that a function, as `NAME,POSITION`.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::files::{directories, flag, text};
use crate::machine::Machine;

const LIVEPATCH: &str = "sys/kernel/livepatch";

/// A patch that the kernel knows: enabled, or on its way there or back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The name of its module.
    pub name: String,
    /// Whether it is enabled, or is being enabled.
    pub enabled: bool,
    /// Whether tasks are still going from old to new code, or back.
    pub transition: bool,
    /// Whether it replaces all other patches.
    pub replace: Option<bool>,
    /// Its place among all patches, from 1.
    pub stack_order: Option<u64>,
    /// The objects that it changes.
    pub objects: Vec<Object>,
}

/// An object of a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// The module, or `vmlinux`.
    pub name: String,
    /// Whether its functions are redirected; not while the module is not loaded.
    pub patched: Option<bool>,
    /// The functions that the patch redirects.
    pub functions: Vec<Function>,
}

/// A redirected function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Which of that name in its object, counted from 1; 0 where it is unique.
    pub sympos: u64,
}

impl Patch {
    /// The patch of this name, if the kernel knows it.
    ///
    /// # Errors
    ///
    /// Those of reading sysfs.
    pub fn find(machine: &dyn Machine, name: &str) -> Result<Option<Self>> {
        let directory = directory(machine, name);
        let Some(enabled) = flag(&directory.join("enabled"))? else { return Ok(None) };
        let objects = directories(&directory)?.into_iter().map(|object| read_object(machine, name, object));
        Ok(Some(Self {
            name: name.into(),
            enabled,
            transition: flag(&directory.join("transition"))?.unwrap_or(false),
            replace: flag(&directory.join("replace"))?,
            stack_order: text(&directory.join("stack_order"))?.and_then(|text| text.parse().ok()),
            objects: objects.collect::<Result<_>>()?,
        }))
    }

    /// All patches that the kernel knows, in the order in which they were enabled where the kernel shows it.
    ///
    /// # Errors
    ///
    /// Those of reading sysfs.
    pub fn all(machine: &dyn Machine) -> Result<Vec<Self>> {
        let mut patches = Vec::new();
        for name in directories(&machine.path(LIVEPATCH))? {
            patches.extend(Self::find(machine, &name)?);
        }
        patches.sort_by_key(|patch| patch.stack_order);
        Ok(patches)
    }

    /// The patch in transition; there is one at most.
    ///
    /// # Errors
    ///
    /// Those of reading sysfs.
    pub fn in_transition(machine: &dyn Machine) -> Result<Option<Self>> {
        Ok(Self::all(machine)?.into_iter().find(|patch| patch.transition))
    }

    /// The function of this name that it redirects.
    #[must_use]
    pub fn redirects(&self, function: &str) -> bool {
        self.objects.iter().flat_map(|object| &object.functions).any(|known| known.name == function)
    }
}

/// Whether the kernel has livepatches at all.
#[must_use]
pub fn is_supported(machine: &dyn Machine) -> bool {
    machine.path(LIVEPATCH).is_dir()
}

/// Enables or disables a patch; where it is in transition, the transition turns round.
///
/// # Errors
///
/// The kernel's answer: another patch is in transition.
pub fn set_enabled(machine: &dyn Machine, patch: &str, enabled: bool) -> Result<()> {
    write(machine, patch, "enabled", if enabled { "1" } else { "0" })
}

/// Ends the transition of a patch, whatever tasks run.
///
/// # Errors
///
/// The kernel's answer: the patch is not in transition.
pub fn force(machine: &dyn Machine, patch: &str) -> Result<()> {
    write(machine, patch, "force", "1")
}

fn write(machine: &dyn Machine, patch: &str, file: &str, text: &str) -> Result<()> {
    let path = directory(machine, patch).join(file);
    fs::write(&path, text).map_err(Error::io("write", path))
}

fn directory(machine: &dyn Machine, patch: &str) -> PathBuf {
    machine.path(LIVEPATCH).join(patch)
}

fn read_object(machine: &dyn Machine, patch: &str, name: String) -> Result<Object> {
    let directory = directory(machine, patch).join(&name);
    let function = |entry: String| {
        let (name, sympos) = entry.rsplit_once(',')?;
        Some(Function { name: name.into(), sympos: sympos.parse().ok()? })
    };
    Ok(Object {
        patched: flag(&directory.join("patched"))?,
        functions: directories(&directory)?.into_iter().filter_map(function).collect(),
        name,
    })
}
