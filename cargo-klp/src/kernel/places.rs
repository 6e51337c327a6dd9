//! Where kernels are: the parts of each, found by the build directory that belongs to them.
//!
//! Distributions agree on `lib/modules/RELEASE`, and on its link `build`. They differ in the build directory, in the
//! place of the image, and in whether the headers may be there without the rest. A root is `/`, or a directory with
//! unpacked packages: links between packages are absolute, and lead to files of the root.

use std::fs;
use std::path::{Path, PathBuf};

use super::arch::ALL;
use super::build_dir;
use crate::error::{Error, Result};
use crate::host::cache;

/// The files of one release on this machine; some parts may be missing.
#[derive(Clone, Debug)]
pub(super) struct InstalledKernel {
    pub(super) release: String,
    pub(super) kdir: PathBuf,
    pub(super) image: Option<PathBuf>,
    pub(super) modules: Option<PathBuf>,
}

/// All kernels of this machine and of the cache.
pub(super) fn everywhere() -> Result<Vec<InstalledKernel>> {
    let kernels = cache::root()?.join("kernels");
    let mut found = in_root(Path::new("/"));
    found.extend(names(&kernels).into_iter().flat_map(|name| in_root(&kernels.join(name).join("root"))));
    Ok(found)
}

/// The kernels of a root: those with modules, and those of which only the build directory is there, as in containers
/// that build modules.
pub(super) fn in_root(root: &Path) -> Vec<InstalledKernel> {
    let mut found: Vec<_> =
        names(&root.join("lib/modules")).iter().map(|release| of_release(root, release)).collect();
    for kdir in build_dirs(&root.join("usr/src")) {
        if let Ok(release) = build_dir::release(&kdir)
            && found.iter().all(|kernel| kernel.release != release)
        {
            found.push(InstalledKernel { kdir, ..of_release(root, &release) });
        }
    }
    found
}

/// The kernel that a build directory belongs to, with its image and modules where they can be found.
pub(super) fn of_build_dir(kdir: &Path) -> Result<InstalledKernel> {
    let kdir = fs::canonicalize(kdir)
        .map_err(|error| Error::NotAKernelDir { path: kdir.into(), why: error.to_string() })?;
    let release = build_dir::release(&kdir)?;
    let is_it = |kernel: &InstalledKernel| {
        kernel.release == release && fs::canonicalize(&kernel.kdir).is_ok_and(|known| known == kdir)
    };
    // The outermost first: where `lib` leads to `usr/lib`, `usr` looks like a root, too.
    let roots: Vec<&Path> = kdir.ancestors().skip(1).collect();
    let around = roots.into_iter().rev().map(|root| of_release(root, &release));
    if let Some(kernel) = everywhere()?.into_iter().chain(around).find(is_it) {
        return Ok(kernel);
    }
    // The headers of a machine's kernel may have been copied. Where the machine has headers of its own, the release
    // alone doesn't say that this is the same build.
    let of_machine = of_release(Path::new("/"), &release);
    if build_dir::is_one(&of_machine.kdir) {
        let image = build_dir::image(&kdir);
        return Ok(InstalledKernel { release, kdir, image, modules: None });
    }
    Ok(InstalledKernel { image: build_dir::image(&kdir).or(of_machine.image.clone()), kdir, ..of_machine })
}

/// What a root has of a release.
fn of_release(root: &Path, release: &str) -> InstalledKernel {
    let modules = root.join("lib/modules").join(release);
    let kdir = kdir_of(root, release);
    let images = [root.join(format!("boot/vmlinuz-{release}")), modules.join("vmlinuz")];
    let image = build_dir::image(&kdir).or_else(|| images.into_iter().find(|image| image.exists()));
    let modules = Some(modules).filter(|modules| modules.join("modules.dep").exists());
    InstalledKernel { release: release.to_owned(), kdir, image, modules }
}

/// The build directory of a release: of those that it may be, the first that is one.
fn kdir_of(root: &Path, release: &str) -> PathBuf {
    let link = root.join("lib/modules").join(release).join("build");
    let target = fs::read_link(&link).ok();
    // A link that leads out of the root is that of a tree which was built elsewhere on this machine.
    let inside = target.and_then(|target| Some(root.join(target.strip_prefix("/").ok()?)));
    let sources = root.join("usr/src");
    let mut places = vec![
        // Debian and Ubuntu.
        sources.join(format!("linux-headers-{release}")),
        // Fedora, RHEL and those made of it, Amazon Linux.
        sources.join("kernels").join(release),
    ];
    if let Some((version, flavour)) = release.rsplit_once('-') {
        // SUSE.
        let objects = sources.join(format!("linux-{version}-obj"));
        places.extend(ALL.map(|arch| objects.join(arch.machine).join(flavour)));
    }
    let mut all = inside.into_iter().chain(places).chain([link.clone()]);
    all.find(|kdir| build_dir::is_one(kdir)).unwrap_or(link)
}

/// The build directories in `usr/src`.
fn build_dirs(sources: &Path) -> Vec<PathBuf> {
    let below = |directory: &Path| -> Vec<PathBuf> {
        names(directory).into_iter().map(|name| directory.join(name)).collect()
    };
    let mut found = below(&sources.join("kernels"));
    for directory in below(sources) {
        let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("linux-headers-") {
            found.push(directory);
        } else if name.starts_with("linux-") && name.ends_with("-obj") {
            found.extend(ALL.iter().flat_map(|arch| below(&directory.join(arch.machine))));
        }
    }
    found.retain(|kdir| build_dir::is_one(kdir));
    found
}

/// The names in a directory, without hidden ones; empty if the directory does not exist.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests;
