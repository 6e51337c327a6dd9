//! `cargo klp clean`: removes what patches share.

use std::process::ExitCode;

use super::ui::{self, Terminal};
use crate::error::Result;
use crate::kbuild::clean;

/// Arguments of `cargo klp clean`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The macros and the runtime are compiled once for all patches that stand alone, in ~/.cache/klp/target; the next build
compiles them again. `cargo clean` removes what is in the target directory of a patch: its modules, and all that is
compiled for it if CARGO_TARGET_DIR is set or it is in a workspace.")]
pub struct Args {}

/// Removes it.
pub fn main(Args {}: &Args) -> Result<ExitCode> {
    match clean(&Terminal)? {
        Some(directory) => ui::status("Removed", directory.display()),
        None => ui::note("there is nothing to remove"),
    }
    Ok(ExitCode::SUCCESS)
}
