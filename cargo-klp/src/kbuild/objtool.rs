//! Runs objtool. A warning is an error: Kbuild goes on after one, and does not run objtool again on what it
//! has made.

use std::process::Command;

use crate::error::{Error, Result};
use crate::host::tools::run_tool;

/// Runs objtool.
///
/// # Errors
///
/// It failed, or said anything.
pub fn run(command: &mut Command) -> Result<()> {
    let output = run_tool(command)?;
    let said = [output.stdout, output.stderr].concat();
    if said.is_empty() {
        return Ok(());
    }
    Err(Error::Warnings { tool: "objtool", lines: String::from_utf8_lossy(&said).into_owned() })
}
