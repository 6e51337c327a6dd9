//! `cargo klp types`: puts what `kernel_types!` must know of a module or of headers into the cache. Called by the macro.

use std::io;
use std::process::ExitCode;

use klp_format::headers::read_request;

use super::args::TargetArgs;
use crate::error::{Error, Result};
use crate::kbuild::headers;
use crate::kernel::{KernelParts, btf};

/// Arguments of `cargo klp types`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Answer questions about the kernel's headers, which stdin has.
    #[arg(long, conflicts_with = "module")]
    headers: bool,
    /// The module's name.
    #[arg(required_unless_present = "headers")]
    module: Option<String>,
}

/// Puts the types of a module, or the answer about headers, into the cache and prints the directory.
pub fn main(args: &Args) -> Result<ExitCode> {
    let target = args.target.find_quietly(KernelParts::Headers)?;
    let directory = match &args.module {
        Some(module) => btf::module_directory(&target, module)?,
        None => {
            let text = io::read_to_string(io::stdin()).map_err(Error::io("read", "stdin"))?;
            let request = read_request(&text).ok_or_else(|| Error::Request {
                message: "the request of `kernel_types!` can't be read".into(),
                help: "install the cargo-klp that belongs to the patch's klp-runtime".into(),
            })?;
            headers::answer(&request, &target.kernel)?
        }
    };
    println!("{}", directory.display());
    Ok(ExitCode::SUCCESS)
}
