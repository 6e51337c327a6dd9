//! `cargo klp build`: patch crates to modules.

use std::process::ExitCode;

use crate::commands::MessageFormat;
use crate::commands::args::{PackageArgs, TargetArgs};
use crate::error::Result;
use crate::kbuild::build;
use crate::kernel::Need;
use crate::kernel::debug_info::DebugInfoArgs;

/// Arguments of `cargo klp build`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    packages: PackageArgs,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    debug_info: DebugInfoArgs,

    /// How the results are written to stdout.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    message_format: MessageFormat,
}

/// Builds and says what was built.
pub fn main(args: &Args) -> Result<ExitCode> {
    let (kernel, modules) = args.target.find(Need::Headers)?;
    args.debug_info.read([&kernel], &modules)?;
    for built in build(&args.packages.query(), &kernel, &modules)? {
        match args.message_format {
            MessageFormat::Human => println!("{}", built.ko.display()),
            MessageFormat::Json => println!("{}", serde_json::to_string(&built).expect("plain data")),
        }
    }
    Ok(ExitCode::SUCCESS)
}
