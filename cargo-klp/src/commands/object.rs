//! `cargo klp object`: the Rust half of a module. Called by `klp.mk` from within Kbuild.

use std::path::PathBuf;
use std::process::ExitCode;

use super::ui::Terminal;
use crate::error::Result;
use crate::kbuild::object::{self, Request};
use crate::kernel::symbols::check_modules;
use crate::kernel::{Kernel, Target};

/// Arguments of `cargo klp object`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The patch crate's Cargo.toml.
    #[arg(long)]
    manifest_path: PathBuf,
    /// The build directory of the target kernel.
    #[arg(long)]
    kdir: PathBuf,
    /// The directory of klp.lds and the glue.
    #[arg(long)]
    kbuild: PathBuf,
    /// What Kbuild has in KBUILD_RUSTFLAGS.
    #[arg(long, allow_hyphen_values = true)]
    kbuild_rustflags: String,
    /// The objtool command line, where it is to run on the object alone.
    #[arg(long)]
    objtool: Option<String>,
    /// The .ko file of a module that is not the kernel's own.
    #[arg(long = "module")]
    modules: Vec<PathBuf>,
    /// A file with debug information.
    #[arg(long)]
    debug_info: Vec<PathBuf>,
    /// A module that this machine lacks.
    #[arg(long = "unknown-module")]
    unknown_modules: Vec<String>,
    /// What Kbuild links in the end.
    #[arg(long)]
    ko: PathBuf,
    /// The header for the glue.
    #[arg(long)]
    header: PathBuf,
    /// The object.
    #[arg(long)]
    output: PathBuf,
}

/// Makes the object and the header, if they are not up to date.
pub fn main(args: Args) -> Result<ExitCode> {
    let Args {
        manifest_path,
        kdir,
        kbuild,
        kbuild_rustflags,
        objtool,
        modules,
        debug_info,
        unknown_modules,
        ko,
        header,
        output,
    } = args;
    let request = Request {
        manifest_path,
        target: Target { kernel: Kernel::from_kdir(&kdir)?, modules, debug_info, unknown_modules },
        kbuild,
        kbuild_rustflags,
        objtool,
        ko,
        header,
        output,
    };
    check_modules(&request.target)?;
    object::make(&request, &Terminal)?;
    Ok(ExitCode::SUCCESS)
}
