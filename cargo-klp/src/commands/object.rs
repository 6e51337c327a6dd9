//! `cargo klp object`: the Rust half of a module. Called by `klp.mk` from within Kbuild.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Result;
use crate::kbuild::object::{self, Request};

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
    let Args { manifest_path, kdir, kbuild, kbuild_rustflags, objtool, modules, ko, header, output } = args;
    object::make(&Request {
        manifest_path,
        kdir,
        kbuild,
        kbuild_rustflags,
        objtool,
        modules,
        ko,
        header,
        output,
    })?;
    Ok(ExitCode::SUCCESS)
}
