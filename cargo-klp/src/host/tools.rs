//! Programs of this machine.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::{Error, Result, last_lines};

/// The path of a program in `PATH` or in the directories for administrators' tools.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// The version of a compiler, `gcc` or `clang`: its first number.
pub fn version_of(compiler: &str) -> Option<u32> {
    let output = run_tool(Command::new(compiler).arg("-dumpversion")).ok()?;
    String::from_utf8_lossy(&output.stdout).trim().split('.').next()?.parse().ok()
}

/// Runs a tool to its end and returns its output; an error if it is absent or fails.
pub fn run_tool(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_owned();
    let output = command.output().map_err(|source| not_started(&program, source))?;
    if output.status.success() {
        return Ok(output);
    }
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Tool { command: command_line(command), status: output.status, output: last_lines(&said, 20) })
}

/// The error for a program that could not be started.
pub fn not_started(program: &OsStr, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::NotFound {
        return Error::Missing {
            what: format!("the program `{}`", program.display()),
            needed_for: "it is not in PATH".into(),
        };
    }
    Error::Io { what: "run", path: Path::new(program).into(), source }
}

fn command_line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit;

    #[test]
    fn what_a_tool_said_is_kept() {
        let error =
            run_tool(Command::new("sh").args(["-c", "echo this; echo that >&2; exit 7"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 7)\n    this\n    that"), "{text}");
        assert_eq!(error.exit_code(), exit::FAILED);
    }

    #[test]
    fn an_absent_program_is_something_missing() {
        let error = run_tool(&mut Command::new("klp-no-such-program")).unwrap_err();
        assert_eq!(error.exit_code(), exit::MISSING);
        assert!(error.help().unwrap().contains("doctor --fix"));
    }
}
