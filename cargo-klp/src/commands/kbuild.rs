//! `cargo klp kbuild`: the path of `klp.mk`. Called by a patch's Kbuild.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Result;
use crate::kbuild::rules::klp_mk_of;

/// Arguments of `cargo klp kbuild`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory of the patch crate.
    crate_dir: PathBuf,
}

/// Prints the path of `klp.mk` of the runtime that the crate is built with.
pub fn main(args: &Args) -> Result<ExitCode> {
    println!("{}", klp_mk_of(&args.crate_dir)?.display());
    Ok(ExitCode::SUCCESS)
}
