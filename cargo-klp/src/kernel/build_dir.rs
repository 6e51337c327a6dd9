//! What a build directory, which modules are built against, says of its kernel.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::arch::{ALL, Arch};
use crate::error::{Error, Result};

/// The file of Debian's headers with variables of the build.
pub(super) const VARIABLES: &str = ".kernelvariables";

/// The start of its line with what the names of compiler and binutils begin with.
pub(super) const CROSS_COMPILE: &str = "override CROSS_COMPILE = ";

/// Whether a directory is one that modules can be built against.
pub(super) fn is_one(kdir: &Path) -> bool {
    auto_conf(kdir).exists()
}

/// The kernel's configuration.
pub(super) fn auto_conf(kdir: &Path) -> PathBuf {
    kdir.join("include/config/auto.conf")
}

/// The image that was built in it, in the form that has the kernel as an ELF file: packages of headers have none.
pub(super) fn image(kdir: &Path) -> Option<PathBuf> {
    let built = |arch: &&Arch| kdir.join(arch.image.built).exists();
    ALL.into_iter().find(built).map(|arch| kdir.join(arch.image.elf))
}

/// The release of its kernel.
pub(super) fn release(kdir: &Path) -> Result<String> {
    // Debian's headers override the release of the source; some contain a file with the latter too.
    let variables = fs::read_to_string(kdir.join(VARIABLES)).unwrap_or_default();
    let overridden = variables.lines().find_map(|line| line.strip_prefix("override KERNELRELEASE ="));
    let release = match overridden {
        Some(release) => Ok(release.to_owned()),
        None => fs::read_to_string(kdir.join("include/config/kernel.release")),
    };
    release.map(|release| release.trim().to_owned()).map_err(|_| Error::NotAKernelDir {
        path: kdir.into(),
        why: "it has neither include/config/kernel.release nor .kernelvariables".into(),
    })
}

/// Its configuration.
pub(super) fn read_config(kdir: &Path) -> Result<BTreeMap<String, String>> {
    let file = auto_conf(kdir);
    let text = fs::read_to_string(&file).map_err(|error| Error::NotAKernelDir {
        path: kdir.into(),
        why: format!("its include/config/auto.conf, the kernel's configuration, can't be read: {error}"),
    })?;
    Ok(parse_config(&text))
}

/// The options of a configuration, with `CONFIG_`, and their values without quotes.
pub(super) fn parse_config(text: &str) -> BTreeMap<String, String> {
    let options = text.lines().filter_map(|line| line.split_once('='));
    options.map(|(option, value)| (option.to_owned(), value.trim_matches('"').to_owned())).collect()
}

/// The compiler that its file of variables names.
pub(super) fn compiler(variables: &str) -> Option<String> {
    let line = variables.lines().find(|line| line.starts_with("CC ") || line.starts_with("CC="))?;
    let start = line.rfind("gcc")?;
    Some(line[start..].trim().to_owned())
}

/// What that file puts before the names of compiler and binutils.
pub(super) fn prefix(variables: &str) -> &str {
    let set = variables.lines().find_map(|line| line.strip_prefix(CROSS_COMPILE));
    set.filter(|prefix| !prefix.contains('$')).unwrap_or("x86_64-linux-gnu-")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// arm64 boots the kernel's memory, which has no symbols.
    #[test]
    fn the_image_of_a_tree() {
        for (built, elf) in
            [("arch/x86/boot/bzImage", "arch/x86/boot/bzImage"), ("arch/arm64/boot/Image", "vmlinux")]
        {
            let tree = tempfile::tempdir().unwrap();
            assert_eq!(image(tree.path()), None);
            let built = tree.path().join(built);
            fs::create_dir_all(built.parent().unwrap()).unwrap();
            fs::write(built, "").unwrap();
            assert_eq!(image(tree.path()), Some(tree.path().join(elf)));
        }
    }

    #[test]
    fn configuration_values() {
        let config = parse_config("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"gcc 12\"\nCONFIG_D=16\n");
        assert_eq!(config.get("CONFIG_C").unwrap(), "gcc 12");
        assert_eq!(config.get("CONFIG_D").unwrap(), "16");
        assert!(!config.contains_key("CONFIG_B"));
    }
}
