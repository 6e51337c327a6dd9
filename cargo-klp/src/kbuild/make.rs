//! Runs Kbuild, and separates its output from that of other programs.
//!
//! rustc, cargo and this program, when they run within make, print to a pipe of their own, whose text is shown as it
//! comes. All other output comes from Kbuild and its tools. There, every warning is an error: a module that objtool
//! or modpost warns about may not work.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

use console::strip_ansi_codes;

use klp_format::env::CARGO_FLAGS;

use super::record;
use super::workspace::Crate;
use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::host::tools::not_started;
use crate::kernel::Target;
use crate::kernel::signing::SigningKey;

/// The variable that names the file to use as stderr when this program runs within make.
const STDERR: &str = "KLP_STDERR";

/// Sends the stderr of this process and its children to the program that runs make, if there is one.
pub fn use_own_stderr() {
    let Some(path) = env::var_os(STDERR) else { return };
    // It is gone if make outlives the program that ran it; make's own stderr then serves.
    if let Ok(pipe) = fs::File::options().append(true).open(path) {
        let _ = rustix::stdio::dup2_stderr(&pipe);
    }
}

/// Whether this program runs within the make of a `cargo klp build`, which says what concerns all of its patches.
pub(super) fn is_of_build() -> bool {
    env::var_os(STDERR).is_some()
}

/// Has Kbuild make a package's module as `ko`, in a directory with a Kbuild.
///
/// # Errors
///
/// make fails, or a tool warns.
pub(super) fn run(
    krate: &Crate,
    target: &Target,
    crate_dir: &Path,
    ko: &Path,
    reporter: &dyn Reporter,
) -> Result<()> {
    let this = env::current_exe().map_err(Error::io("find", "this program"))?;
    let pipe = || Error::io("open", "a pipe");
    let (rust, rust_writer) = io::pipe().map_err(pipe())?;
    let signing = target.signing.as_ref();
    let mut command = Command::new("make");
    command
        .arg("-C")
        .arg(&target.kernel.kdir)
        .arg(format!("M={}", ko.parent().expect("a module is in a directory").display()))
        .arg(format!("KLP_CRATE={}", crate_dir.display()))
        .arg(format!("CARGO_KLP={} klp", this.display()))
        .arg(format!("KLP_MODULES={}", list(&target.modules)))
        .arg(format!("KLP_DEBUG_INFO={}", list(&target.debug_info)))
        .arg(format!("KLP_OUTPUT={}", ko.display()))
        .arg(format!("KLP_UNKNOWN_MODULES={}", target.unknown_modules.join(" ")))
        .arg(format!("KLP_SIGN_KEY={}", signing.map_or("", SigningKey::key)))
        .arg(format!(
            "KLP_SIGN_CERT={}",
            signing.map_or(String::new(), |key| key.certificate().display().to_string())
        ))
        .arg("modules")
        .env(CARGO_FLAGS, krate.flags.variable())
        .env(record::ENVIRONMENT, record::environment())
        .env(STDERR, format!("/proc/{}/fd/{}", std::process::id(), rust_writer.as_raw_fd()))
        .env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if reporter.is_colored() {
        command.env("CLICOLOR_FORCE", "1");
    }
    let mut child = command.spawn().map_err(|source| not_started(command.get_program(), source))?;
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    std::thread::scope(|scope| {
        let stdout = scope.spawn(move || lines(stdout).collect::<Vec<_>>());
        let stderr = scope.spawn(move || lines(stderr).collect::<Vec<_>>());
        let has_told = scope.spawn(move || show(rust, reporter));
        let status = child.wait().map_err(Error::io("run", "make"));
        // The pipe ends here: the programs within make open it through this process.
        drop(rust_writer);
        let join = "reading does not panic";
        let (mut output, stderr) = (stdout.join().expect(join), stderr.join().expect(join));
        output.extend(stderr);
        outcome(&krate.package.name, status?.success(), has_told.join().expect(join), &output)
    })
}

/// Paths as a variable of make has them.
fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}

/// Shows lines as they come, and returns whether one of them is an error.
fn show(stream: impl Read, reporter: &dyn Reporter) -> bool {
    let mut has_told = false;
    for line in lines(stream) {
        has_told |= strip_ansi_codes(&line).starts_with("error");
        reporter.passed_on(&format!("{line}\n"));
    }
    has_told
}

fn lines(stream: impl Read) -> impl Iterator<Item = String> {
    BufReader::new(stream)
        .split(b'\n')
        .map_while(io::Result::ok)
        .map(|line| String::from_utf8_lossy(&line).into_owned())
}

/// How the build ended. `has_told`: an error has been shown already.
fn outcome(package: &str, success: bool, has_told: bool, output: &[String]) -> Result<()> {
    let package = package.to_owned();
    if !success && has_told {
        return Err(Error::NotBuilt { package });
    }
    let warnings: Vec<&str> = output.iter().map(String::as_str).filter(|line| is_warning(line)).collect();
    if !success && warnings.iter().any(|line| line.contains(" error: ")) {
        return Err(Error::Kbuild { package, output: warnings.join("\n") });
    }
    if !warnings.is_empty() {
        return Err(Error::Warnings { tool: "Kbuild's tools", lines: warnings.join("\n") });
    }
    if !success {
        return Err(Error::Kbuild { package, output: output.join("\n") });
    }
    Ok(())
}

/// Whether a line is a warning or error of a tool, as opposed to one of Kbuild about its own work.
fn is_warning(line: &str) -> bool {
    // The compiler may be another build of the version that built a distribution's kernel.
    let of_kbuild = ["make", "warning: the compiler differs", "warning: pahole version differs"];
    let lower = line.to_ascii_lowercase();
    (lower.contains("warning:") || lower.contains("error:"))
        && !of_kbuild.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_warning_is_told_from_what_kbuild_says() {
        for line in [
            "vmlinux.o: warning: objtool: f+0x10: unreachable instruction",
            "WARNING: modpost: missing MODULE_LICENSE() in x.o",
            "ERROR: modpost: \"nothing\" [x.ko] undefined!",
            "/x/klp_glue.c:12:3: warning: unused variable",
            "ld: warning: x.o: missing .note.GNU-stack section implies executable stack",
        ] {
            assert!(is_warning(line), "{line}");
        }
        for line in [
            "make[1]: *** [Makefile] Error 2",
            "Skipping BTF generation for x.ko due to unavailability of vmlinux",
            "warning: the compiler differs from the one used to build the kernel",
        ] {
            assert!(!is_warning(line), "{line}");
        }
    }

    #[test]
    fn a_build_fails_for_one_reason() {
        let output = ["x.o: warning: objtool: f: no".to_owned()];
        assert!(outcome("x", true, false, &[]).is_ok());
        // rustc's warnings are no errors, and neither are those that were told beside an error of make's.
        assert!(outcome("x", true, true, &[]).is_ok());
        assert!(matches!(outcome("x", true, false, &output), Err(Error::Warnings { .. })));
        assert!(matches!(outcome("x", false, false, &output), Err(Error::Warnings { .. })));
        assert!(matches!(outcome("x", false, true, &output), Err(Error::NotBuilt { .. })));
        let output =
            ["make: *** no".to_owned(), "x.c:1:2: error: implicit declaration of function".to_owned()];
        let error = outcome("x", false, false, &output).unwrap_err().to_string();
        assert_eq!(error, "Kbuild failed on patch `x`\n    x.c:1:2: error: implicit declaration of function");
        assert!(matches!(outcome("x", false, false, &[]), Err(Error::Kbuild { .. })));
    }
}
