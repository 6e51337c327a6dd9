//! Patches on the disk: those that are installed, and copies of the confirmed ones to fall back to.
//!
//! | directory | has |
//! | --- | --- |
//! | `/usr/lib/klp/RELEASE/NAME.ko` | what is loaded at boot, put there by `klp install` or by a package |
//! | `/var/lib/klp/confirmed/RELEASE/BUILD.ko` | what was in effect when the last trial ended well, by build ID |

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::file::ModuleFile;
use crate::files::{directories, names};
use crate::machine::Machine;

const INSTALLED: &str = "usr/lib/klp";
const CONFIRMED: &str = "var/lib/klp/confirmed";

/// The directory of the patches that are installed for a release.
pub fn installed(machine: &dyn Machine, release: &str) -> PathBuf {
    machine.path(INSTALLED).join(release)
}

/// The directory of the confirmed patches for a release.
pub fn confirmed(machine: &dyn Machine, release: &str) -> PathBuf {
    machine.path(CONFIRMED).join(release)
}

/// The releases that patches are installed for, sorted.
///
/// # Errors
///
/// Those of reading the directory.
pub fn releases(machine: &dyn Machine) -> Result<Vec<String>> {
    directories(&machine.path(INSTALLED))
}

/// A file that should be a patch, and is none.
#[derive(Debug)]
pub struct Damaged {
    /// Its name.
    pub file: String,
    /// What is wrong with it.
    pub error: Error,
}

/// The name of the module in a file of this name, as far as that tells.
#[must_use]
pub fn module_name(file: &str) -> &str {
    file.split_once(".ko").map_or(file, |(name, _)| name)
}

/// The patches in a directory, by name of the file, and the files that are none.
///
/// # Errors
///
/// Those of reading the directory.
pub fn read(directory: &Path) -> Result<(Vec<ModuleFile>, Vec<Damaged>)> {
    let (mut patches, mut damaged) = (Vec::new(), Vec::new());
    for file in names(directory)?.into_iter().filter(|name| is_module(name)) {
        match ModuleFile::open(&directory.join(&file)) {
            Ok(patch) => patches.push(patch),
            Err(error) => damaged.push(Damaged { file, error }),
        }
    }
    Ok((patches, damaged))
}

/// Compressed modules are opened too, so that somebody says that they are not loaded.
fn is_module(name: &str) -> bool {
    [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().any(|ending| name.ends_with(ending))
}

/// Writes a file: whole, or not at all, also where the machine dies meanwhile.
///
/// # Errors
///
/// Those of writing; nothing is left behind then.
pub fn put(path: &Path, contents: &[u8]) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    let write = || {
        let mut file = NamedTempFile::new_in(directory)?;
        file.write_all(contents)?;
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync(directory)
    };
    write().map_err(Error::io("write", path))
}

/// Removes a file, if it is there.
///
/// # Errors
///
/// Those of removing.
pub fn remove(path: &Path) -> Result<()> {
    let remove = || {
        fs::remove_file(path)?;
        sync(path.parent().unwrap_or(Path::new("/")))
    };
    match remove() {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// A rename or a removal is on the disk once its directory is.
fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}
