//! `cargo xtask manual`: manual pages and completions of `cargo klp`, made of its arguments. Those of `klp` are in its
//! package.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use cargo_klp::commands::{self, ui};
use cargo_klp::error::{Error, Result};
use clap::ValueEnum;
use clap_complete::Shell;

use crate::command::root;

/// Arguments of `cargo xtask manual`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory to write `man` and `completions` into; by default target/manual.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// `cargo help klp` looks for the page of this name.
const NAME: &str = "cargo-klp";

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let output = args.output.clone().unwrap_or_else(|| root().join("target/manual"));
    let (man, completions) = (output.join("man"), output.join("completions"));
    for directory in [&man, &completions] {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    }
    let mut command = commands::command().name(NAME).bin_name(NAME);
    clap_mangen::generate_to(command.clone(), &man).map_err(Error::io("write to", &man))?;
    for shell in Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut command, NAME, &completions)
            .map_err(Error::io("write to", &completions))?;
    }
    ui::status("Wrote", format_args!("{} and {}", man.display(), completions.display()));
    Ok(ExitCode::SUCCESS)
}
