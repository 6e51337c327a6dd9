//! Runs Kbuild, and separates its output from that of other programs.
//!
//! This program, when it runs within make, reports to a pipe of its own, and what it says is shown as it comes. All other
//! output comes from Kbuild and its tools. There, every warning is an error: a module that objtool
//! or modpost warns about may not work.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use klp_format::env::CARGO_FLAGS;

use super::record;
use super::steps::{self, Line};
use super::workspace::Crate;
use crate::error::{Error, Result};
use crate::host::report::{Report, Reporter};
use crate::host::tools::not_started;
use crate::kernel::Target;
use crate::kernel::signing::SigningKey;

/// Whether this program runs within the make of a `cargo klp build`, which says what concerns all of its patches.
pub(super) fn is_of_build() -> bool {
    env::var_os(steps::PIPE).is_some()
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
        .args(target.kernel.make_variables())
        .arg("modules")
        .env(CARGO_FLAGS, krate.flags.variable())
        .env(record::ENVIRONMENT, record::environment())
        .env(steps::PIPE, format!("/proc/{}/fd/{}", std::process::id(), rust_writer.as_raw_fd()))
        .env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|source| not_started(command.get_program(), source))?;
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    std::thread::scope(|scope| {
        let stdout = scope.spawn(move || lines(stdout).collect::<Vec<_>>());
        let stderr = scope.spawn(move || lines(stderr).collect::<Vec<_>>());
        let name = &krate.package.name;
        let told = scope.spawn(move || show(rust, name, reporter));
        let status = child.wait().map_err(Error::io("run", "make"));
        // The pipe ends here: the programs within make open it through this process.
        drop(rust_writer);
        let join = "reading does not panic";
        let (mut output, stderr) = (stdout.join().expect(join), stderr.join().expect(join));
        output.extend(stderr);
        outcome(&krate.package.name, status?.success(), told.join().expect(join), &output)
    })
}

/// Paths as a variable of make has them.
fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}

/// What the steps of a build have told.
#[derive(Debug, Default)]
struct Told {
    /// Why steps failed.
    causes: Vec<String>,
    /// The errors of cargo, if it did not compile the patch.
    not_compiled: Option<Vec<String>>,
}

/// Shows what the steps of a package's build report, as it comes.
fn show(stream: impl Read, package: &str, reporter: &dyn Reporter) -> Told {
    let (mut told, mut work) = (Told::default(), Vec::new());
    for line in lines(stream) {
        match Line::read(&line) {
            Line::Report(Report::Warning(message)) => reporter.warning_about(package, &message),
            Line::Report(report) => report.make(reporter),
            Line::Fail(failure) => {
                reporter.failure(package, &failure);
                told.causes.extend(failure.into_causes());
            }
            Line::NotCompiled(errors) => told.not_compiled = Some(errors),
            Line::Begin(verb, object) => work.push(reporter.progress(&verb, &object)),
            Line::Update(object) => work.iter().last().into_iter().for_each(|work| work.update(&object)),
            Line::End => drop(work.pop()),
        }
    }
    told
}

fn lines(stream: impl Read) -> impl Iterator<Item = String> {
    BufReader::new(stream)
        .split(b'\n')
        .map_while(io::Result::ok)
        .map(|line| String::from_utf8_lossy(&line).into_owned())
}

/// How the build ended.
fn outcome(package: &str, success: bool, told: Told, output: &[String]) -> Result<()> {
    let package = package.to_owned();
    if !success && !told.causes.is_empty() {
        return Err(Error::NotBuilt { package, causes: told.causes });
    }
    if let Some(errors) = told.not_compiled.filter(|_| !success) {
        return Err(Error::Compile { package, errors });
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
        let no = || vec!["no".to_owned()];
        let silent = Told::default;
        let of_step = Told { causes: no(), ..silent() };
        let of_rustc = Told { not_compiled: Some(no()), ..silent() };
        assert!(outcome("x", true, silent(), &[]).is_ok());
        assert!(matches!(outcome("x", true, silent(), &output), Err(Error::Warnings { .. })));
        assert!(matches!(outcome("x", false, silent(), &output), Err(Error::Warnings { .. })));
        assert!(
            matches!(outcome("x", false, of_step, &output), Err(Error::NotBuilt { causes, .. }) if causes == ["no"])
        );
        assert!(
            matches!(outcome("x", false, of_rustc, &output), Err(Error::Compile { errors, .. }) if errors == ["no"])
        );
        let output =
            ["make: *** no".to_owned(), "x.c:1:2: error: implicit declaration of function".to_owned()];
        let error = outcome("x", false, silent(), &output).unwrap_err().to_string();
        assert_eq!(error, "Kbuild failed on patch `x`\n    x.c:1:2: error: implicit declaration of function");
        assert!(matches!(outcome("x", false, silent(), &[]), Err(Error::Kbuild { .. })));
    }
}
