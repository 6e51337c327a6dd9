//! What a patch is for, as the commands take it: a kernel, and modules that are not its own.

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::kbuild::workspace::PackageQuery;
use crate::kernel::{Kernel, KernelArgs, Need};

/// Arguments that say which kernel is meant, and which modules there are besides its own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TargetArgs {
    /// The kernel.
    #[command(flatten)]
    pub kernel: KernelArgs,

    /// The modules.
    #[command(flatten)]
    pub modules: ModuleArgs,
}

impl TargetArgs {
    /// Finds what was asked for, and says which kernel it is where that was left open.
    pub(crate) fn find(&self, need: Need) -> Result<(Kernel, Vec<PathBuf>)> {
        Ok((self.kernel.find(need)?, self.modules.absolute()?))
    }
}

/// Arguments that name modules that are not the kernel's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ModuleArgs {
    /// The .ko file of a module that is not the kernel's own and whose symbols or types are needed; may be
    /// given several times.
    #[arg(long = "module", value_name = "PATH")]
    pub module_files: Vec<PathBuf>,
}

impl ModuleArgs {
    /// The files, by paths that hold in other folders too.
    pub(crate) fn absolute(&self) -> Result<Vec<PathBuf>> {
        let absolute = |path: &PathBuf| fs::canonicalize(path).map_err(Error::io("find", path));
        self.module_files.iter().map(absolute).collect()
    }
}

/// Arguments that choose patch crates.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PackageArgs {
    /// A patch crate of the workspace, by its name; may be given several times.
    ///
    /// Without it, the crate of the current directory.
    #[arg(short, long = "package", value_name = "NAME")]
    pub packages: Vec<String>,

    /// The Cargo.toml of the crate or workspace.
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,
}

impl PackageArgs {
    /// Which crates are meant.
    pub(crate) fn query(&self) -> PackageQuery {
        let Self { packages, manifest_path } = self.clone();
        PackageQuery { packages, manifest_path }
    }
}
