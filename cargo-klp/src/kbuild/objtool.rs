//! Runs objtool, and treats warnings as errors: Kbuild goes on after a warning, and does not run objtool again on
//! the finished object.

use std::process::Command;

use crate::error::{Error, Result};
use crate::host::tools::run_tool;

/// Runs objtool.
///
/// # Errors
///
/// objtool fails, or prints anything.
pub fn run(command: &mut Command) -> Result<()> {
    let output = run_tool(command)?;
    let said = [output.stdout, output.stderr].concat();
    if said.is_empty() {
        return Ok(());
    }
    Err(Error::Warnings { tool: "objtool", lines: String::from_utf8_lossy(&said).into_owned() })
}
