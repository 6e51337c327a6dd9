//! `cargo klp finish`: makes the livepatch relocations of a linked module. Called by `klp_final.mk` from within Kbuild.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Result;
use crate::kbuild::finish::finish_file;

/// Arguments of `cargo klp finish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The module as Kbuild has linked it.
    unfinished: PathBuf,
    /// The finished module to write.
    ko: PathBuf,
}

/// Finishes a module.
pub fn main(args: &Args) -> Result<ExitCode> {
    finish_file(&args.unfinished, &args.ko)?;
    Ok(ExitCode::SUCCESS)
}
