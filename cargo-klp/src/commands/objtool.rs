//! `cargo klp objtool`: runs objtool on a part of a module and treats warnings as errors. Called by `klp.mk` from
//! within Kbuild.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::error::Result;
use crate::kbuild::objtool::run;

/// Arguments of `cargo klp objtool`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The command line.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Runs the command line.
pub fn main(args: &Args) -> Result<ExitCode> {
    let (program, words) = args.command.split_first().expect("clap asks for one word");
    run(Command::new(program).args(words))?;
    Ok(ExitCode::SUCCESS)
}
