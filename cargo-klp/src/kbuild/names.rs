//! The names of modules: each must name one module only, for the build and for the kernel.

use std::fs;
use std::path::Path;

use cargo_metadata::{Metadata, Package};

use super::workspace::is_patch;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::kernel::symbols::{VMLINUX, is_own_module};

/// The name of the module that a package makes.
pub fn module_of(package: &str) -> String {
    package.replace('-', "_")
}

/// Refuses a package whose module could be confused with another one.
///
/// # Errors
///
/// Another patch of the workspace, or the kernel, has a module of this name; or the crate's Kbuild makes a module of
/// another name.
pub fn check(metadata: &Metadata, package: &Package, kernel: &Kernel) -> Result<()> {
    let module = module_of(&package.name);
    let refuse = |message: String, help: &str| Err(Error::Request { message, help: help.into() });
    let is_namesake =
        |other: &&Package| other.id != package.id && is_patch(other) && module_of(&other.name) == module;
    if let Some(other) = metadata.workspace_packages().into_iter().find(is_namesake) {
        return refuse(
            format!("the patches `{}` and `{}` would both be the module {module}", package.name, other.name),
            "give one of them another name",
        );
    }
    if module == VMLINUX || is_own_module(kernel, &module) {
        return refuse(
            format!("the patch `{}` has the name of an object of kernel {}", package.name, kernel.release),
            "give the patch a name of its own: the kernel would confuse the two",
        );
    }
    let kbuild = package.manifest_path.with_file_name("Kbuild");
    let text = fs::read_to_string(&kbuild).unwrap_or_default();
    match made_by(&text) {
        Some(made) if made != module => refuse(
            format!("`{kbuild}` makes {made}.ko, but the package `{}` is the module {module}", package.name),
            &format!("write `obj-m := {module}.o` in the Kbuild, or rename the package"),
        ),
        _ => Ok(()),
    }
}

/// The reason why make and `cargo klp build` would make modules of different names from a package, if they would.
pub fn difference(package: &str, ko: &Path) -> Option<String> {
    let (module, made) = (module_of(package), ko.file_stem()?.to_string_lossy());
    (made != module).then(|| {
        format!(
            "the Kbuild makes {made}.ko, but `cargo klp build` makes {module}.ko from the package `{package}`"
        )
    })
}

/// The module that a Kbuild makes, if a single line says so.
fn made_by(kbuild: &str) -> Option<&str> {
    let line = kbuild.lines().find_map(|line| line.trim().strip_prefix("obj-m"))?;
    let (_, object) = line.split_once('=')?;
    object.trim().strip_suffix(".o").filter(|module| !module.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kbuild_names_its_module() {
        assert_eq!(made_by("# x\nobj-m := fix_x.o\ninclude y\n"), Some("fix_x"));
        assert_eq!(made_by("obj-m += fix_x.o\n"), Some("fix_x"));
        assert_eq!(made_by("obj-m := a.o b.o\n"), None);
        assert_eq!(made_by("include y\n"), None);
    }

    #[test]
    fn two_names_of_one_patch() {
        assert_eq!(difference("fix-x", "/t/fix_x.ko".as_ref()), None);
        assert!(difference("fix-y", "/t/fix_x.ko".as_ref()).unwrap().contains("fix_x.ko"));
    }
}
