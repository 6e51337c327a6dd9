//! Modules in memory, as `/sys/module` shows them.

use klp_format::manifest::NOTE_SECTION;
use klp_module::{About, build_id};
use rustix::io::Errno;

use crate::error::Result;
use crate::files::{bytes, directories, text};
use crate::machine::Machine;

/// The kernel's letter for a livepatch among a module's taints.
pub const LIVEPATCH: char = 'K';

/// A module in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// The author's version.
    pub version: Option<String>,
    /// Kbuild's digest of the sources.
    pub srcversion: Option<String>,
    /// The linker's identification of the build, in hexadecimal.
    pub build_id: Option<String>,
    /// What it says of itself, if it is made with klp.
    pub about: Option<About>,
    /// The reasons for which it taints the kernel, a letter each.
    pub taint: String,
    /// How much holds it.
    pub references: Option<u64>,
    /// Whether its init function has returned.
    pub is_live: bool,
}

impl Loaded {
    /// The module of this name, if it is loaded.
    ///
    /// # Errors
    ///
    /// Those of reading sysfs.
    pub fn find(machine: &dyn Machine, name: &str) -> Result<Option<Self>> {
        let directory = machine.path("sys/module").join(name);
        // What is built in has no such file.
        let Some(state) = text(&directory.join("initstate"))? else { return Ok(None) };
        let notes = directory.join("notes");
        Ok(Some(Self {
            name: name.into(),
            version: text(&directory.join("version"))?,
            srcversion: text(&directory.join("srcversion"))?,
            build_id: bytes(&notes.join(".note.gnu.build-id"))?.and_then(|notes| build_id(&notes)),
            about: bytes(&notes.join(NOTE_SECTION))?.and_then(|notes| About::of_section(&notes)),
            taint: text(&directory.join("taint"))?.unwrap_or_default(),
            references: text(&directory.join("refcnt"))?.and_then(|text| text.parse().ok()),
            is_live: state == "live",
        }))
    }

    /// All livepatch modules in memory, enabled or not.
    ///
    /// # Errors
    ///
    /// Those of reading sysfs.
    pub fn livepatches(machine: &dyn Machine) -> Result<Vec<Self>> {
        let mut modules = Vec::new();
        let directory = machine.path("sys/module");
        for name in directories(&directory)? {
            let taint = text(&directory.join(&name).join("taint"))?;
            if taint.is_some_and(|taint| taint.contains(LIVEPATCH)) {
                modules.extend(Self::find(machine, &name)?);
            }
        }
        Ok(modules)
    }
}

/// Unloads a module that nothing uses; false if something still does.
///
/// # Errors
///
/// Another answer of the kernel.
pub fn remove(machine: &dyn Machine, name: &str) -> Result<bool, Errno> {
    match machine.remove(name) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::AGAIN | Errno::BUSY) => Ok(false),
        Err(error) => Err(error),
    }
}
