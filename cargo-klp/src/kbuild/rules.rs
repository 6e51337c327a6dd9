//! The Kbuild of a patch, and `cargo klp kbuild`, which it calls.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cargo_metadata::{Metadata, Package};

use crate::error::{Error, Result};

/// Arguments of `cargo klp kbuild`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the patch crate.
    crate_dir: PathBuf,
}

/// The Kbuild that `cargo klp new` writes: plain `make` finds the rules through the command.
pub fn for_crate(module: &str) -> String {
    format!(
        "# SPDX-License-Identifier: GPL-2.0-only\n\
         obj-m := {module}.o\n\
         include $(or $(shell cargo klp kbuild $(src)),$(error `cargo klp` is needed to build this patch))\n"
    )
}

/// Prints the path of `klp.mk` of the runtime that the crate is built with.
pub fn main(args: &Args) -> Result<ExitCode> {
    let manifest_path = args.crate_dir.join("Cargo.toml");
    let metadata = super::workspace(Some(&manifest_path))?;
    let package = super::metadata(&manifest_path)?.package;
    println!("{}", klp_mk(&metadata, &package)?.display());
    Ok(ExitCode::SUCCESS)
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

/// Writes the Kbuild of a build folder, if it is not there as it should be.
pub(super) fn write(dir: &Path, module: &str, klp_mk: &Path) -> Result<()> {
    let path = dir.join("Kbuild");
    let text = format!("obj-m := {module}.o\ninclude {}\n", klp_mk.display());
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(&path, text).map_err(Error::io("write", path))
}
