//! Where cargo puts what modules are made of.
//!
//! Most of the work on a new patch is to compile the macros and the runtime, which are the same for all patches.
//! Crates that stand alone therefore share a directory in the cache. A crate of a workspace, and one whose user chose
//! a target directory, keep everything in that.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, Package};
use rustix::fs::{Access, access};

use crate::error::{Error, Result};
use crate::host::cache::{self, Lock};
use crate::host::report::Reporter;

/// The variables of cargo that name a directory for what it builds.
const CHOICES: [&str; 3] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"];

/// The directory in which cargo works on a crate.
#[derive(Clone, Debug)]
pub(super) struct CargoDirectory {
    directory: PathBuf,
    is_shared: bool,
}

impl CargoDirectory {
    /// The directory for the crates of a workspace.
    pub(super) fn of(metadata: &Metadata) -> Self {
        let own = || Self { directory: metadata.target_directory.join("klp").into(), is_shared: false };
        if CHOICES.iter().any(|name| env::var_os(name).is_some()) || !may_share(metadata) {
            return own();
        }
        // A cache that is read-only serves builds, too.
        match shared().and_then(|directory| create_in_target(&directory).map(|()| directory)) {
            Ok(directory) => Self { directory, is_shared: true },
            Err(_) => own(),
        }
    }

    /// Waits until no other process runs cargo in the directory, and returns it.
    pub(super) fn lock(&self, reporter: &dyn Reporter) -> Result<(&Path, Lock)> {
        create_in_target(&self.directory)?;
        let lock = match self.is_shared {
            true => Lock::told(&self.directory, reporter)?,
            // Builds of the same workspace hold the lock only while cargo runs, so the wait is not worth a message.
            false => Lock::beside(&self.directory)?,
        };
        Ok((&self.directory, lock))
    }

    /// What cargo must tell crates apart by, as arguments of rustc. By itself it takes two crates of one name, each
    /// alone in its workspace, for the same.
    pub(super) fn distinction(&self, manifest: &Path) -> Option<String> {
        let mut hasher = DefaultHasher::new();
        manifest.hash(&mut hasher);
        self.is_shared.then(|| format!("--cfg=klp_crate=\"{:016x}\"", hasher.finish()))
    }
}

/// Whether a crate is alone in its workspace, has no build script, which cargo would take for that of another crate of
/// its name, and no configuration of cargo chooses a directory for it.
fn may_share(metadata: &Metadata) -> bool {
    let has_script = |package: &Package| package.targets.iter().any(|target| target.is_custom_build());
    let default = metadata.workspace_root.join("target");
    metadata.workspace_members.len() == 1
        && !metadata.workspace_packages().into_iter().any(has_script)
        && metadata.target_directory == default
        && metadata.build_directory.as_ref().is_none_or(|directory| *directory == default)
}

/// The directory that crates share.
fn shared() -> Result<PathBuf> {
    Ok(cache::root()?.join("target"))
}

/// Creates a directory in the target directory, and makes sure that this process can write to it.
pub(super) fn create_in_target(directory: &Path) -> Result<()> {
    let refuse = |what: &str, error: io::Error| Error::Request {
        message: format!("cannot {what} `{}`: {error}", directory.display()),
        help: "set CARGO_TARGET_DIR to a directory that you can write to".into(),
    };
    fs::create_dir_all(directory).map_err(|error| refuse("create", error))?;
    access(directory, Access::WRITE_OK).map_err(|error| refuse("write to", error.into()))
}

/// Removes what crates share, and returns its directory; `None` if there is nothing.
pub(crate) fn clean(reporter: &dyn Reporter) -> Result<Option<PathBuf>> {
    let directory = shared()?;
    if !directory.exists() {
        return Ok(None);
    }
    let _lock = Lock::told(&directory, reporter)?;
    fs::remove_dir_all(&directory).map_err(Error::io("remove", &directory))?;
    Ok(Some(directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    /// Whether a workspace may share, given its members, beside the crate at its root, and cargo's configuration.
    fn shares(members: &[&str], configuration: &str) -> bool {
        shares_in(&tempfile::tempdir().unwrap(), members, configuration)
    }

    fn shares_with_script() -> bool {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("build.rs"), "fn main() {}").unwrap();
        shares_in(&directory, &[], "")
    }

    fn shares_in(directory: &tempfile::TempDir, members: &[&str], configuration: &str) -> bool {
        let write = |file: &str, text: &str| {
            let file = directory.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("Cargo.toml", &format!("[package]\nname = \"a\"\n[workspace]\nmembers = {members:?}\n"));
        write("src/lib.rs", "");
        for member in members {
            write(&format!("{member}/Cargo.toml"), &format!("[package]\nname = {member:?}\n"));
            write(&format!("{member}/src/lib.rs"), "");
        }
        write(".cargo/config.toml", configuration);
        // cargo looks for its configuration from the working directory on.
        let mut command = std::process::Command::new("cargo");
        command.args(["metadata", "--format-version=1", "--offline"]).current_dir(directory);
        CHOICES.iter().for_each(|name| _ = command.env_remove(name));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        may_share(&cargo_metadata::MetadataCommand::parse(String::from_utf8(output.stdout).unwrap()).unwrap())
    }

    #[test]
    fn a_crate_shares_if_nobody_chose_otherwise() {
        assert!(shares(&[], ""));
        assert!(!shares_with_script(), "cargo would mix up the build scripts");
        assert!(!shares(&["b"], ""), "a workspace has a directory of its own");
        assert!(!shares(&[], "[build]\ntarget-dir = \"t\"\n"));
        assert!(!shares(&[], "[build]\nbuild-dir = \"t\"\n"));
    }
}
