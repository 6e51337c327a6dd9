//! What the distributions' own checkers say of the packages, and whether dpkg and rpm install, upgrade and remove them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_klp::commands::ui;
use cargo_klp::error::{Error, Result};
use cargo_klp::host::tools::run_tool;

use crate::command::status;

/// The checkers, by their Debian packages: they need more than a hundred others, so they have a root of their own.
const CHECKERS: &str = "lintian,rpmlint,rpm";

/// What rpmlint must not complain of, with the reasons.
const RPMLINT: &str = include_str!("rpmlint.toml");

/// What is done with the debs, and with the rpms.
const DEB: &str = include_str!("deb.sh");
const RPM: &str = include_str!("rpm.sh");

/// A root with the checkers, and the packages in its `/tmp`.
pub(super) struct Checkers {
    root: PathBuf,
}

impl Checkers {
    /// Makes the root, unless the last run has.
    pub(super) fn new(sources: &Path, directory: &Path) -> Result<Self> {
        let root = directory.join("checkers");
        if !root.exists() {
            let _spinner = ui::spinner("Making", "a Debian 12 with lintian and rpmlint");
            let partial = directory.join("checkers.partial");
            if partial.exists() {
                fs::remove_dir_all(&partial).map_err(Error::io("remove", &partial))?;
            }
            let mut command = Command::new("mmdebstrap");
            command.args(["--quiet", "--mode=root", "--variant=apt"]).arg(format!("--include={CHECKERS}"));
            run_tool(command.arg(super::guest::CODENAME).arg(&partial).arg(sources))?;
            fs::rename(&partial, &root).map_err(Error::io("create", &root))?;
        }
        Ok(Self { root })
    }

    /// Whether no checker finds an error, and dpkg and rpm do what they should with their packages. The first ones are
    /// klp-tools and two revisions of a patch.
    pub(super) fn pass(&self, debs: &[&PathBuf], rpms: &[&PathBuf]) -> Result<bool> {
        ui::status("Checking", "the packages with lintian, and installing them with dpkg");
        let lintian = self.runs(&["lintian", "--allow-root", "--fail-on", "error"], debs)?;
        ui::status("Checking", "the packages with rpmlint, and installing them with rpm");
        let config = self.root.join("tmp/rpmlint.toml");
        fs::write(&config, RPMLINT).map_err(Error::io("write", &config))?;
        let rpmlint = self.runs(&["rpmlint", "--config", "/tmp/rpmlint.toml"], rpms)?;
        let installs = self.runs(&["sh", "-ec", DEB, "deb"], debs)?;
        Ok(lintian && rpmlint && installs && self.runs(&["sh", "-ec", RPM, "rpm"], rpms)?)
    }

    /// Runs a command on packages, within the root; whether it succeeds.
    fn runs(&self, command: &[&str], packages: &[&PathBuf]) -> Result<bool> {
        let mut chroot = Command::new("chroot");
        chroot.arg(&self.root).args(command).env("LC_ALL", "C");
        for package in packages {
            let name = package.file_name().expect("a package is a file");
            let inside = Path::new("tmp").join(name);
            fs::copy(package, self.root.join(&inside)).map_err(Error::io("copy", *package))?;
            chroot.arg(Path::new("/").join(inside));
        }
        Ok(status(&mut chroot)?.success())
    }
}
