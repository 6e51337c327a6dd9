//! Debian's debug information of a kernel: a package of 1 GB, 6 GB unpacked.
//!
//! It is read while it is unpacked; only the index is kept.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use super::files::{import, index_of};
use crate::error::{Error, Result};
use crate::host::debian::Apt;
use crate::host::report::Reporter;
use crate::host::tools::not_started;
use crate::kernel::Target;
use crate::kernel::symbols::{Symbols, VMLINUX};

/// Puts the index of the debug information of a kernel and all its modules into the cache.
pub(crate) fn fetch(target: &Target, reporter: &dyn Reporter) -> Result<()> {
    let (apt, release) = (Apt::of_kernel(&target.kernel.release, reporter)?, &target.kernel.release);
    let package = format!("linux-image-{release}-dbg");
    let own = "for a kernel of your own, `--debug-info PATH` of explain, check and build takes its vmlinux";
    if apt.versions(&package)?.is_empty() {
        return Err(Error::Request {
            message: format!("Debian's archive has no debug information of {release}, no package {package}"),
            help: own.into(),
        });
    }
    apt.with_package(&package, None, |deb| read(release, deb, reporter))?;
    let symbols = Symbols::of(target, reporter)?;
    if index_of(&symbols, &symbols.object(VMLINUX)?)?.is_none() {
        return Err(Error::Request {
            message: format!(
                "the package {package} is for a build of {release} that differs from the one on this machine"
            ),
            help: own.into(),
        });
    }
    Ok(())
}

/// Reads a whole package.
fn read(release: &str, deb: &Path, reporter: &dyn Reporter) -> Result<()> {
    let what = format!("the debug information of {release}");
    let progress = reporter.progress("Reading", &what);
    let mut command = Command::new("dpkg-deb");
    command.arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|source| not_started(command.get_program(), source))?;
    let mut archive = tar::Archive::new(child.stdout.take().expect("stdout is piped"));
    let io = || Error::io("unpack", deb);
    for entry in archive.entries().map_err(io())? {
        let mut entry = entry.map_err(io())?;
        let path = entry.path().map_err(io())?.into_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_object = name.starts_with("vmlinux") || name.ends_with(".ko") || name.ends_with(".ko.debug");
        if !is_object || !entry.header().entry_type().is_file() {
            continue;
        }
        progress.update(&name);
        let mut data = Vec::new();
        entry.read_to_end(&mut data).map_err(io())?;
        import(release, &path, &data)?;
    }
    // Reads the rest behind the last entry, so that dpkg-deb can end.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(io())?;
    let status = child.wait().map_err(Error::io("run", "dpkg-deb"))?;
    if !status.success() {
        let command = format!("dpkg-deb --fsys-tarfile {}", deb.display());
        return Err(Error::Tool { command, status, output: String::new() });
    }
    Ok(())
}
