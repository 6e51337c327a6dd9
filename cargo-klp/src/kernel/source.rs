//! The source of a kernel: the tree that its packages were built from.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use lzma_rust2::XzReader;
use tar::Archive;

use super::Kernel;
use crate::error::{Error, Result};
use crate::host::cache;
use crate::host::debian::Apt;
use crate::host::report::Reporter;

/// What no module's compilation reads: 300 MB.
const LEFT_OUT: [&str; 4] = ["Documentation", "samples", "rust", "LICENSES"];

/// The source of a kernel in the cache; `None` if it was not fetched.
pub fn find(kernel: &Kernel) -> Result<Option<PathBuf>> {
    let entry = cache::root()?.join(key(&kernel.release));
    Ok(entry.exists().then_some(entry))
}

/// Fetches the source of a kernel into the cache: Debian's package of the version of its headers.
///
/// # Errors
///
/// Debian's archive has no such version of the source any more.
pub fn fetch(kernel: &Kernel, reporter: &dyn Reporter) -> Result<PathBuf> {
    let help = "give the directory of the source that the kernel was built from with `--source DIR`";
    cache::entry(key(&kernel.release), |dir| fetch_to(kernel, dir, is_needed, help, reporter))
}

/// Fetches what the `kernel` crate of a kernel is made of into a directory.
pub(super) fn fetch_for_crate(kernel: &Kernel, dir: &Path, reporter: &dyn Reporter) -> Result<()> {
    fetch_to(kernel, dir, is_needed_for_crate, "build for a newer kernel of Debian", reporter)
}

fn fetch_to(
    kernel: &Kernel,
    dir: &Path,
    is_needed: fn(&Path) -> bool,
    help: &str,
    reporter: &dyn Reporter,
) -> Result<()> {
    let release = &kernel.release;
    let apt = Apt::of_kernel(release, reporter)?;
    let built = apt.versions(&format!("linux-headers-{release}"))?;
    let package = package(release);
    let sources = apt.versions(&package)?;
    let Some(version) = built.iter().find(|version| sources.contains(version)) else {
        return Err(Error::Request {
            message: format!(
                "Debian's archive does not have the source of {release}: {package} is {}, the headers are {}",
                listed(&sources),
                listed(&built)
            ),
            help: help.into(),
        });
    };
    unpack(&apt, &package, version, dir, is_needed, reporter)
}

/// Unpacks what is needed of the source in a version of a package into a directory.
fn unpack(
    apt: &Apt<'_>,
    package: &str,
    version: &str,
    dir: &Path,
    is_needed: fn(&Path) -> bool,
    reporter: &dyn Reporter,
) -> Result<()> {
    let unpacked = tempfile::tempdir_in(dir).map_err(Error::io("create", dir))?;
    apt.download_and_extract(package, Some(version), unpacked.path())?;
    let archive = unpacked.path().join(format!("usr/src/{package}.tar.xz"));
    let _progress = reporter.progress("Unpacking", package);
    let file = File::open(&archive).map_err(Error::io("read", &archive))?;
    let mut tar = Archive::new(XzReader::new(BufReader::new(file), true));
    tar.set_preserve_mtime(false);
    for entry in tar.entries().map_err(Error::io("unpack", &archive))? {
        let mut entry = entry.map_err(Error::io("unpack", &archive))?;
        let path = entry.path().map_err(Error::io("unpack", &archive))?.into_owned();
        // The first part is the name of the package.
        let path: PathBuf = path.components().skip(1).collect();
        if is_needed(&path) {
            let to = dir.join(&path);
            let parent = to.parent().unwrap_or(dir);
            fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
            entry.unpack(&to).map_err(Error::io("write", &to))?;
        }
    }
    Ok(())
}

/// Whether a part of the tree can be of use on x86.
fn is_needed(path: &Path) -> bool {
    match &*parts(path) {
        [] => false,
        ["arch", other, _, ..] => *other == "x86",
        [first, ..] => !LEFT_OUT.contains(first),
    }
}

/// Whether a part of the tree is needed to configure it for x86, and to make its `kernel` crate: of what is large, what the
/// configuration consists of, and headers of drivers, which some bindings are made of.
fn is_needed_for_crate(path: &Path) -> bool {
    match &*parts(path) {
        [] => false,
        ["arch", "x86", ..] => true,
        ["drivers", directory, .., name] if name.ends_with(".h") => *directory != "gpu",
        ["arch" | "drivers" | "sound" | "fs" | "net" | "Documentation" | "samples", .., name] => {
            name.starts_with("Kconfig")
        }
        _ => true,
    }
}

fn parts(path: &Path) -> Vec<&str> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    names.collect()
}

fn key(release: &str) -> PathBuf {
    Path::new("sources").join(release)
}

/// The package with the source of a release: that of its series.
fn package(release: &str) -> String {
    let numbers: Vec<&str> = release.split(['.', '-', '+']).take(2).collect();
    format!("linux-source-{}", numbers.join("."))
}

fn listed(versions: &[String]) -> String {
    if versions.is_empty() { "not there".into() } else { versions.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_a_release() {
        assert_eq!(package("6.12.117+deb12-amd64"), "linux-source-6.12");
        assert_eq!(package("6.1.0-56-amd64"), "linux-source-6.1");
    }

    #[test]
    fn a_crate_is_made_of_few_files() {
        let needed = |path: &str| is_needed_for_crate(path.as_ref());
        for path in [
            "rust/kernel/lib.rs",
            "arch/arm/crypto/Kconfig",
            "drivers/base/base.h",
            "drivers/net/Kconfig.debug",
            "kernel/bounds.c",
        ] {
            assert!(needed(path), "{path}");
        }
        for path in
            ["", "arch/arm/kernel/x.c", "drivers/net/veth.c", "drivers/gpu/x.h", "Documentation/x.rst"]
        {
            assert!(!needed(path), "{path}");
        }
    }

    #[test]
    fn only_what_x86_compiles_is_kept() {
        let needed = |path: &str| is_needed(path.as_ref());
        for path in ["fs/pipe.c", "arch/x86/kvm/x86.c", "arch/Kconfig", "Makefile", "drivers/net/veth.c"] {
            assert!(needed(path), "{path}");
        }
        for path in ["", "arch/arm/kernel/x.c", "Documentation/x.rst", "rust/kernel/lib.rs"] {
            assert!(!needed(path), "{path}");
        }
    }
}
