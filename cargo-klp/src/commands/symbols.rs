//! `cargo klp symbols`: what the parts of a module leave undefined. Called by `klp.mk` from within Kbuild.

use std::path::PathBuf;
use std::process::ExitCode;

use super::args::KbuildTargetArgs;
use crate::error::Result;
use crate::host::report::Reporter;
use crate::kbuild::symbols::{self, Request};

/// Arguments of `cargo klp symbols`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The patch crate's Cargo.toml.
    #[arg(long)]
    manifest_path: PathBuf,
    #[command(flatten)]
    target: KbuildTargetArgs,
    /// The Rust half.
    #[arg(long)]
    rust: PathBuf,
    /// The object with all C files, where there are any.
    #[arg(long)]
    c_output: PathBuf,
    /// The header for the glue.
    #[arg(long)]
    header: PathBuf,
    /// The objects of the C files.
    c: Vec<PathBuf>,
}

/// Finds the symbols, and writes the header and the object of the C files if they are not up to date.
pub fn main(args: Args, reporter: &dyn Reporter) -> Result<ExitCode> {
    let Args { manifest_path, target, rust, c_output, header, c } = args;
    let request = Request { manifest_path, target: target.find()?, rust, c, c_output, header };
    symbols::find(&request, reporter)?;
    Ok(ExitCode::SUCCESS)
}
