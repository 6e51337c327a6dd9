//! Debian's packages of a kernel, unpacked into the cache.
//!
//! Up to 6.12 of Debian 12 there is a package with the image and the modules. Since Debian 13 all of it is below
//! `usr/lib/modules`, and since 7.x the image, the modules and the configuration have packages of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::installed::{TESTED, check_wanted, headers_dir};
use super::programs;
use super::release::{is_debians, matches};
use crate::error::{Error, Result};
use crate::host::cache;
use crate::host::debian::{Apt, Debian};
use crate::host::report::Reporter;
use crate::host::tools::run_tool;

/// Fetches a kernel's headers, image and modules into the cache: those of a release, or of the newest release of a
/// series. Returns the release.
///
/// This machine's Debian is asked first, then later ones. For a kernel of a later one, the programs that build
/// modules for it are fetched too: this machine's C library may be too old to run those of the headers.
pub fn fetch(wanted: &str, reporter: &dyn Reporter) -> Result<String> {
    check_wanted(wanted)?;
    let mut known = Vec::new();
    for debian in Debian::with_kernel(wanted) {
        let apt = Apt::of(debian, reporter)?;
        match newest(&apt, wanted)? {
            Some(release) => {
                unpack(&apt, debian, &release)?;
                return Ok(release);
            }
            None => known.extend(default_release(&apt)?),
        }
    }
    Err(Error::Request {
        message: format!("Debian's archive has no kernel {wanted} for this release of Debian or a later one"),
        help: format!(
            "name a series, such as {}, or a release that it has, such as {}",
            TESTED.join(", "),
            known.join(", ")
        ),
    })
}

fn unpack(apt: &Apt<'_>, debian: Debian, release: &str) -> Result<()> {
    let entry = cache::root()?.join("kernels").join(release);
    cache::entry(&entry, |dir| {
        let root = dir.join("root");
        let headers = format!("linux-headers-{release}");
        let depends = apt.depends(&headers)?;
        for package in depends.iter().filter(|name| is_headers_part(name)).chain([&headers]) {
            apt.download_and_extract(package, None, &root)?;
        }
        let image = format!("linux-image-{release}");
        let depends_of_image = apt.depends(&image)?;
        for package in depends_of_image.iter().filter(|name| is_image_part(name, release)).chain([&image]) {
            apt.download_and_extract(package, None, &root)?;
        }
        relocate(&root, &entry.join("root"), release)?;
        if debian > Debian::of_this_machine() {
            programs::fetch(apt, release, dir, &entry)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The wanted release, or the newest one of the wanted series that is of no special flavour.
fn newest(apt: &Apt<'_>, wanted: &str) -> Result<Option<String>> {
    const HEADERS: &str = "linux-headers-";
    let mut releases = vec![wanted.to_owned()];
    let names = apt.names(&format!("{HEADERS}{wanted}"))?;
    let of_series = names.iter().filter_map(|name| name.strip_prefix(HEADERS));
    releases.extend(of_series.filter(|name| matches(name, wanted) && is_debians(name)).map(str::to_owned));
    releases[1..].sort_by(|a, b| alphanumeric_sort::compare_str(b, a));
    for release in releases {
        // apt knows names of packages that it does not have.
        if !apt.depends(&format!("{HEADERS}{release}"))?.is_empty() {
            return Ok(Some(release));
        }
    }
    Ok(None)
}

/// The release that a machine gets by default.
fn default_release(apt: &Apt<'_>) -> Result<Option<String>> {
    let depends = apt.depends("linux-headers-amd64")?;
    Ok(depends.iter().find_map(|name| name.strip_prefix("linux-headers-")).map(str::to_owned))
}

/// Whether a package is a part of a release's headers.
fn is_headers_part(package: &str) -> bool {
    package.starts_with("linux-headers-") || package.starts_with("linux-kbuild-")
}

/// Whether a package is a part of a release's image.
fn is_image_part(package: &str, release: &str) -> bool {
    let part = package.strip_prefix("linux-").and_then(|rest| rest.strip_suffix(release));
    part.is_some_and(|part| ["base-", "binary-", "modules-"].contains(&part))
}

/// Makes unpacked packages work in the cache instead of in `/`.
fn relocate(root: &Path, final_root: &Path, release: &str) -> Result<()> {
    if !root.join("lib").exists() {
        symlink("usr/lib", root.join("lib")).map_err(Error::io("create", root.join("lib")))?;
    }
    // The links among the packages' directories are relative; the lines of this Makefile are not.
    let makefile = headers_dir(root, release).join("Makefile");
    let text = fs::read_to_string(&makefile).map_err(Error::io("read", &makefile))?;
    fs::write(&makefile, relocated(&text, final_root)).map_err(Error::io("write", &makefile))?;

    // Installing the package would have run this.
    run_tool(Command::new("depmod").arg("-b").arg(root).arg(release).env("PATH", path_with_sbin()))?;
    Ok(())
}

/// The headers' Makefile, with `root` before its absolute paths.
fn relocated(makefile: &str, root: &Path) -> String {
    let root = root.display();
    let mut text = String::new();
    for line in makefile.lines() {
        let line = match line.split_once("/usr/src/") {
            Some((start @ ("include " | "KBUILD_OUTPUT="), rest)) => format!("{start}{root}/usr/src/{rest}"),
            _ => line.to_owned(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// `PATH` with the directories for administrators' tools, which a user's `PATH` may lack.
fn path_with_sbin() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_headers() {
        assert!(is_headers_part("linux-headers-6.12.117+deb12-common"));
        assert!(is_headers_part("linux-kbuild-6.1"));
        assert!(!is_headers_part("linux-image-6.12.117+deb12-amd64"));
        assert!(!is_headers_part("gcc-12"));
    }

    #[test]
    fn parts_of_the_image() {
        let is_part = |package: &str| is_image_part(package, "7.3.4+deb13-amd64");
        for part in ["base", "binary", "modules"] {
            assert!(is_part(&format!("linux-{part}-7.3.4+deb13-amd64")), "{part}");
        }
        for other in ["linux-base", "linux-initramfs-tool", "kmod", "linux-modules-7.2.6+deb13-amd64"] {
            assert!(!is_part(other), "{other}");
        }
    }

    #[test]
    fn the_headers_name_files_of_the_cache() {
        let of = |makefile: &str| relocated(makefile, "/c/root".as_ref());
        assert_eq!(of("include /usr/src/linux-x/Makefile\n"), "include /c/root/usr/src/linux-x/Makefile\n");
        assert_eq!(
            of("KBUILD_OUTPUT=/usr/src/linux-y\ninclude /usr/src/linux-x/Makefile\n"),
            "KBUILD_OUTPUT=/c/root/usr/src/linux-y\ninclude /c/root/usr/src/linux-x/Makefile\n"
        );
    }
}
