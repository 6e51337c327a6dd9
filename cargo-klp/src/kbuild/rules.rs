//! The Kbuild of a patch, and the rules that it includes.

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, Package};

use super::cargo_flags::CargoFlags;
use super::workspace::{crate_of, metadata};
use crate::error::{Error, Result};

/// The Kbuild that `cargo klp new` writes: plain `make` finds the rules through the command.
pub fn for_crate(module: &str) -> String {
    format!(
        "# SPDX-License-Identifier: GPL-2.0-only\n\
         obj-m := {module}.o\n\
         include $(or $(shell cargo klp kbuild $(src)),$(error `cargo klp kbuild` failed: its message is above; without one, install cargo-klp))\n"
    )
}

/// `klp.mk` of the runtime that the crate in a directory is built with.
pub fn klp_mk_of(crate_dir: &Path) -> Result<PathBuf> {
    let manifest_path = crate_dir.join("Cargo.toml");
    let flags = CargoFlags::of_environment();
    let metadata = metadata(Some(&manifest_path), &flags)?;
    klp_mk(&metadata, &crate_of(&manifest_path, flags)?.package)
}

/// `klp.mk` of the runtime that `package` depends on.
pub(super) fn klp_mk(metadata: &Metadata, package: &Package) -> Result<PathBuf> {
    let not_a_patch = || Error::Request {
        message: format!("package `{}` is not a livepatch: it does not depend on klp-runtime", package.name),
        help: "`cargo klp new NAME` makes a patch crate; `-p NAME` names another one".into(),
    };
    let resolve = metadata.resolve.as_ref().ok_or_else(not_a_patch)?;
    let node = resolve.nodes.iter().find(|node| node.id == package.id).ok_or_else(not_a_patch)?;
    let runtime = node
        .dependencies
        .iter()
        .map(|id| &metadata[id])
        .find(|dependency| dependency.name.as_str() == "klp-runtime")
        .ok_or_else(not_a_patch)?;
    Ok(runtime.manifest_path.with_file_name("kbuild").join("klp.mk").into())
}

/// Writes the Kbuild of a build directory, unless it is there already.
pub(super) fn write(dir: &Path, module: &str, klp_mk: &Path) -> Result<()> {
    let path = dir.join("Kbuild");
    let text = format!("obj-m := {module}.o\ninclude {}\n", klp_mk.display());
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(&path, text).map_err(Error::io("write", path))
}
