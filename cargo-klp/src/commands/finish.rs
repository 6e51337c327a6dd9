//! `cargo klp finish`: makes the livepatch relocations of a linked module, and signs it. Called by `klp_final.mk` from
//! within Kbuild.

use std::path::PathBuf;
use std::process::ExitCode;

use super::args::KeyArgs;
use crate::error::Result;
use crate::kbuild::finish::finish_file;
use crate::kernel::Kernel;

/// Arguments of `cargo klp finish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    key: KeyArgs,
    /// The build directory of the kernel that the module is signed for.
    #[arg(long, requires = "key")]
    kdir: Option<PathBuf>,
    /// The module as Kbuild has linked it.
    unfinished: PathBuf,
    /// The finished module to write.
    ko: PathBuf,
}

/// Finishes a module.
pub fn main(args: &Args) -> Result<ExitCode> {
    let key = args.key.find()?;
    let kernel = args.kdir.as_deref().map(Kernel::from_kdir).transpose()?;
    finish_file(&args.unfinished, &args.ko, key.as_ref().zip(kernel.as_ref()))?;
    Ok(ExitCode::SUCCESS)
}
