//! What Debian's own checker says of the packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_klp::commands::ui;
use cargo_klp::error::{Error, Result};
use cargo_klp::host::tools::run_tool;

use crate::command::status;

/// Runs lintian on packages; whether it finds no error. It runs in a directory of its own, as it needs 150 packages.
pub(super) fn lint(packages: &[&PathBuf], sources: &Path, directory: &Path) -> Result<bool> {
    let root = directory.join("lint");
    if !root.exists() {
        let _spinner = ui::spinner("Making", "a Debian 12 with lintian");
        let partial = directory.join("lint.partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(Error::io("remove", &partial))?;
        }
        let mut command = Command::new("mmdebstrap");
        command.args([
            "--quiet",
            "--mode=root",
            "--variant=apt",
            "--include=lintian",
            super::guest::CODENAME,
        ]);
        run_tool(command.arg(&partial).arg(sources))?;
        fs::rename(&partial, &root).map_err(Error::io("create", &root))?;
    }
    let mut lintian = Command::new("chroot");
    lintian.arg(&root).args(["lintian", "--allow-root", "--fail-on", "error"]).env("LC_ALL", "C");
    for package in packages {
        let name = package.file_name().expect("a package is a file");
        fs::copy(package, root.join("tmp").join(name)).map_err(Error::io("copy", *package))?;
        lintian.arg(Path::new("/tmp").join(name));
    }
    ui::status("Checking", "the packages with lintian");
    Ok(status(&mut lintian)?.success())
}
