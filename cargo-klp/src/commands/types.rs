//! `cargo klp types`: puts the types of a module into the cache. Called by `kernel_types!`.

use std::process::ExitCode;

use super::args::TargetArgs;
use crate::error::Result;
use crate::kernel::{KernelParts, btf};

/// Arguments of `cargo klp types`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// The module's name.
    module: String,
}

/// Puts the types of a module into the cache and prints the directory.
pub fn main(args: &Args) -> Result<ExitCode> {
    let target = args.target.find_quietly(KernelParts::Headers)?;
    println!("{}", btf::module_directory(&target, &args.module)?.display());
    Ok(ExitCode::SUCCESS)
}
