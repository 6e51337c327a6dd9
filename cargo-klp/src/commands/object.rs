//! `cargo klp object`: the Rust half of a module. Called by `klp.mk` from within Kbuild.

use std::path::PathBuf;
use std::process::ExitCode;

use super::args::KbuildTargetArgs;
use crate::error::Result;
use crate::host::report::Reporter;
use crate::kbuild::object::{self, Request};

/// Arguments of `cargo klp object`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The patch crate's Cargo.toml.
    #[arg(long)]
    manifest_path: PathBuf,
    #[command(flatten)]
    target: KbuildTargetArgs,
    /// The directory of klp.lds and the glue.
    #[arg(long)]
    kbuild: PathBuf,
    /// Kbuild's KBUILD_RUSTFLAGS.
    #[arg(long, allow_hyphen_values = true)]
    kbuild_rustflags: String,
    /// The objtool command line, if objtool must run on the object alone.
    #[arg(long)]
    objtool: Option<String>,
    /// The module that Kbuild links in the end.
    #[arg(long)]
    ko: PathBuf,
    /// The header for the C files of the patch.
    #[arg(long)]
    header: PathBuf,
    /// The object to write.
    #[arg(long)]
    output: PathBuf,
}

/// Makes the object and the header, if they are not up to date.
pub fn main(args: Args, reporter: &dyn Reporter) -> Result<ExitCode> {
    let Args { manifest_path, target, kbuild, kbuild_rustflags, objtool, ko, header, output } = args;
    let target = target.find()?;
    let request = Request { manifest_path, target, kbuild, kbuild_rustflags, objtool, ko, header, output };
    object::make(&request, reporter)?;
    Ok(ExitCode::SUCCESS)
}
