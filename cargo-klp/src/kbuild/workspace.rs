//! The crates to build, as cargo describes them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use super::cargo_flags::CargoFlags;
use super::directory::CargoDirectory;
use crate::error::{Error, Result, indented};
use crate::host::tools::run_tool;

/// A query for patch crates.
#[derive(Clone, Debug, Default)]
pub struct PackageQuery {
    /// Their names; empty means the crate of the current directory.
    pub packages: Vec<String>,
    /// The Cargo.toml of the crate or workspace, unless it is that of the current directory.
    pub manifest_path: Option<PathBuf>,
    /// Whether all patches of the workspace are meant.
    pub workspace: bool,
    /// Flags for cargo.
    pub flags: CargoFlags,
}

/// A crate and where it is built.
pub(crate) struct Crate {
    pub(crate) package: Package,
    /// The libraries of its workspace: see [`libraries`].
    pub(crate) libraries: Vec<Package>,
    /// Where cargo works on it.
    pub(super) directory: CargoDirectory,
    pub(crate) flags: CargoFlags,
}

/// The crate of a Cargo.toml.
pub(crate) fn crate_of(manifest_path: &Path, flags: CargoFlags) -> Result<Crate> {
    let metadata = metadata(Some(manifest_path), &flags)?;
    let path = fs::canonicalize(manifest_path).map_err(Error::io("find", manifest_path))?;
    // cargo keeps the path that it was given, which may contain a link.
    let is_it = |package: &&Package| fs::canonicalize(&package.manifest_path).is_ok_and(|own| own == path);
    let package = metadata.packages.iter().find(is_it).ok_or_else(|| Error::Request {
        message: format!("`{}` is not the Cargo.toml of a crate", path.display()),
        help: "name the patch crate's own Cargo.toml".into(),
    })?;
    Ok(Crate {
        package: package.clone(),
        libraries: libraries(package, &metadata),
        directory: CargoDirectory::of(&metadata),
        flags,
    })
}

/// cargo's description of the workspace.
pub(crate) fn metadata(manifest_path: Option<&Path>, flags: &CargoFlags) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.other_options(flags.of_resolution());
    let missing = match manifest_path {
        Some(path) => {
            command.manifest_path(path);
            match path.is_dir() {
                true => Some(format!("`{}` is a directory, not a Cargo.toml", path.display())),
                false => (!path.exists()).then(|| format!("`{}` does not exist", path.display())),
            }
        }
        None => {
            let directory = env::current_dir().map_err(Error::io("find", "."))?;
            let is_in_crate = directory.ancestors().any(|directory| directory.join("Cargo.toml").exists());
            (!is_in_crate).then(|| format!("there is no Cargo.toml in `{}` or above it", directory.display()))
        }
    };
    if let Some(message) = missing {
        let help = "change to the directory of a patch, or name its Cargo.toml with `--manifest-path`; \
                    `cargo klp new NAME` creates a patch";
        return Err(Error::Request { message, help: help.into() });
    }
    let mut command = command.cargo_command();
    let output = run_tool(&mut command).map_err(|error| match error {
        Error::Tool { output, .. } if output.contains("load manifest for dependency `klp-runtime`") => {
            Error::Request {
                message: format!("the klp-runtime that the patch's Cargo.toml names is not here:{}", indented(&output)),
                help: "write the path of klp's sources on this machine, or `klp-runtime = { git = \"URL\", rev = \
                       \"COMMIT\" }`, with which the patch builds on any"
                    .into(),
            }
        }
        Error::Tool { output, .. } if output.contains("failed to download") => Error::Request {
            message: format!("cargo can't download what the patch depends on:{}", indented(&output)),
            help: "check this machine's network; with `--offline`, cargo takes what it has downloaded before"
                .into(),
        },
        Error::Tool { output, .. } if output.contains("you're using offline mode") => Error::Request {
            message: format!("cargo has not downloaded all that the patch depends on:{}", indented(&output)),
            help: "run `cargo fetch` once with a network, and without `--offline` or CARGO_NET_OFFLINE"
                .into(),
        },
        other => other,
    })?;
    MetadataCommand::parse(String::from_utf8_lossy(&output.stdout)).map_err(|source| Error::Request {
        message: format!("cargo's description of the workspace can't be read: {source}"),
        help: "use the toolchain that the patch is built with".into(),
    })
}

/// The packages that the query selects.
pub(crate) fn select_packages<'a>(metadata: &'a Metadata, query: &PackageQuery) -> Result<Vec<&'a Package>> {
    let patches: Vec<&Package> =
        metadata.workspace_packages().into_iter().filter(|package| is_patch(package)).collect();
    if query.workspace && !patches.is_empty() {
        return Ok(patches);
    }
    if query.packages.is_empty() {
        return metadata.root_package().map(|package| vec![package]).ok_or_else(|| Error::Request {
            message: "this is a workspace, not a patch crate".into(),
            help: format!("name a patch with `-p`, or all with `--workspace`: {}", names(&patches)),
        });
    }
    let named = |name: &String| {
        metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name).ok_or_else(
            || Error::Request {
                message: format!("there is no package `{name}` in this workspace"),
                help: format!("its patches are: {}", names(&patches)),
            },
        )
    };
    query.packages.iter().map(named).collect()
}

pub(super) fn is_patch(package: &Package) -> bool {
    package.dependencies.iter().any(|dependency| dependency.name == "klp-runtime")
}

/// The libraries of the workspace that a crate is compiled with and that use the runtime, as it does.
pub(crate) fn libraries(package: &Package, metadata: &Metadata) -> Vec<Package> {
    let (mut found, mut open) = (Vec::<Package>::new(), vec![package]);
    while let Some(user) = open.pop() {
        let normal = user.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        for path in normal.filter_map(|dependency| dependency.path.as_ref()) {
            let is_it = |other: &&Package| other.manifest_path.parent() == Some(path);
            let Some(library) = metadata.packages.iter().find(is_it) else { continue };
            if is_patch(library) && !found.iter().any(|known| known.id == library.id) {
                found.push(library.clone());
                open.push(library);
            }
        }
    }
    found
}

fn names(packages: &[&Package]) -> String {
    if packages.is_empty() {
        return "none here".into();
    }
    packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>().join(", ")
}
