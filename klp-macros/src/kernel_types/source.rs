//! Which kernel's types are meant: that for which the build is, else the newest one here.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use klp_btf::Types;

/// What `cargo klp` sets for a build: the file of BTF, or nothing where the kernel has none.
const VARIABLE: &str = "KLP_BTF";

/// A file with the BTF of a kernel.
pub(super) struct Source {
    pub(super) file: PathBuf,
}

impl Source {
    /// The one to take, or what to do where there is none.
    pub(super) fn find() -> Result<Self, String> {
        match env::var_os(VARIABLE) {
            Some(none) if none.is_empty() => Err(
                "the kernel has no BTF on this machine, which would say its types: install its image with \
                 `cargo klp doctor --fix --kernel RELEASE`"
                    .into(),
            ),
            Some(file) => Ok(Self { file: file.into() }),
            None => newest().map(|file| Self { file }).ok_or_else(|| {
                "no kernel's types are known on this machine: `cargo klp doctor --fix` gets a kernel, and \
                 `cargo klp check` its types"
                    .into()
            }),
        }
    }

    /// Opens it.
    pub(super) fn open(&self) -> Result<Types, String> {
        Types::open(&self.file).map_err(|error| format!("`{}` can't be read: {error}", self.file.display()))
    }

    /// What the kernel is called in messages.
    pub(super) fn name(&self) -> String {
        match release(&self.file) {
            Some(release) => format!("kernel {release}"),
            None => "the running kernel".into(),
        }
    }
}

/// The release of a file that `cargo klp` has made: its folder is the release, `-` and a hash.
fn release(file: &Path) -> Option<String> {
    let folder = file.parent()?.file_name()?.to_str()?;
    let (release, hash) = folder.rsplit_once('-')?;
    (hash.len() == 16).then(|| release.to_owned())
}

/// The newest kernel's in the cache of `cargo klp`, else that of the kernel that runs.
fn newest() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("KLP_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("klp")))
        .or_else(|| Some(set("HOME")?.join(".cache/klp")));
    let folders =
        cache.and_then(|cache| fs::read_dir(cache.join("btf")).ok()).into_iter().flatten().flatten();
    let files = folders.map(|folder| folder.path().join("vmlinux"));
    let known = files.filter(|file| fs::metadata(file).is_ok_and(|found| found.len() > 0));
    let released = known.filter_map(|file| Some((numbers(&release(&file)?), file)));
    let cached = released.max().map(|(_, file)| file);
    let running = PathBuf::from("/sys/kernel/btf/vmlinux");
    cached.or_else(|| running.exists().then_some(running))
}

/// The numbers in a release, by which releases are ordered.
fn numbers(release: &str) -> Vec<u64> {
    let digits = release.split(|letter: char| !letter.is_ascii_digit());
    digits.filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_files() {
        let of = |path: &str| release(Path::new(path));
        assert_eq!(of("/c/btf/6.1.0-56-amd64-0123456789abcdef/vmlinux").as_deref(), Some("6.1.0-56-amd64"));
        assert_eq!(of("/sys/kernel/btf/vmlinux"), None);
        assert!(numbers("6.12.9+deb12-amd64") < numbers("6.12.117+deb12-amd64"));
        assert!(numbers("6.1.0-56-amd64") < numbers("6.12.9+deb12-amd64"));
    }
}
