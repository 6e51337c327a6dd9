//! A patch crate to a module, through the target kernel's Kbuild.
//!
//! The patch is built in a folder of its own under `target/klp`, with a Kbuild of the same three
//! lines that `cargo klp new` writes, so that plain `make` and this command do the same steps.

mod compile;
pub mod finish;
mod flags;
mod fresh;
mod glue_header;
mod hook;
pub mod object;
mod rename;
pub mod rules;

mod sysroot;
pub mod workspace;

use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anstream::adapter::strip_str;
use cargo_metadata::{Metadata, Package};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::host::tools::not_started;
use crate::host::ui;
use crate::kernel::{Kernel, TESTED};
use crate::patch::inspect;
use crate::patch::manifest::Manifest;
use crate::patch::tables::check_tables;
pub(crate) use compile::manifest_for;
use workspace::{Crate, PackageQuery, metadata, select_packages};

/// A module that was built.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    /// The package.
    pub package: String,
    /// The module's name, as the kernel has it.
    pub module: String,
    /// The module.
    pub ko: PathBuf,
    /// The release that it loads on.
    pub release: String,
    /// What it leaves as it was, though it seems to change it.
    pub warnings: Vec<String>,
    /// What the macros emitted for it.
    pub manifest: Manifest,
}

/// Builds the chosen patches for a kernel.
///
/// For the `cargo klp` program only: Kbuild calls the running program back for the Rust half. Other
/// programs run `cargo klp build --message-format json`.
pub(crate) fn build(packages: &PackageQuery, kernel: &Kernel, modules: &[PathBuf]) -> Result<Vec<Built>> {
    for (program, package) in [("make", "make"), ("ld", "binutils"), ("gcc", "gcc")] {
        if crate::host::tools::find_program(program).is_none() {
            return Err(Error::Missing {
                what: format!("the program `{program}` (Debian package {package})"),
                needed_for: "the target kernel's Kbuild".into(),
            });
        }
    }
    if !kernel.is_tested() {
        let tested = TESTED.join(" and ");
        ui::warning(format_args!("klp is tested on {tested}, and nobody has tried it on {}", kernel.release));
    }
    let metadata = metadata(packages.manifest_path.as_deref())?;
    // Also made where Kbuild needs it; here, what is missing for it is an error of its own.
    sysroot::sysroot(&flags::rustflags(kernel)?)?;
    select_packages(&metadata, packages)?
        .into_iter()
        .map(|package| build_one(&metadata, package, kernel, modules))
        .collect()
}

fn build_one(metadata: &Metadata, package: &Package, kernel: &Kernel, modules: &[PathBuf]) -> Result<Built> {
    let module = package.name.replace('-', "_");
    let crate_dir = package.manifest_path.parent().expect("a Cargo.toml stands in a folder");
    let dir = PathBuf::from(metadata.target_directory.join("klp")).join(&kernel.release).join(&module);
    for (path, remedy) in [
        (crate_dir.as_std_path(), "move the crate"),
        (&dir, "set CARGO_TARGET_DIR"),
        (&kernel.kdir, "move the kernel's headers"),
    ] {
        if path.to_string_lossy().contains(char::is_whitespace) {
            return Err(Error::Request {
                message: format!(
                    "`{}` has white space in its path, which Kbuild can't handle",
                    path.display()
                ),
                help: format!("{remedy} to a path without"),
            });
        }
    }
    fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    let klp_mk = rules::klp_mk(metadata, package)?;
    rules::write(&dir, &module, &klp_mk)?;

    let krate =
        Crate { package: package.clone(), target_directory: metadata.target_directory.clone().into() };
    let kbuild = klp_mk.parent().expect("a file is in a folder");
    let build = fresh::Build { krate: &krate, kernel, dir: &dir, module: &module, kbuild, modules };
    let is_fresh = build.is_fresh()?;
    if !is_fresh {
        build.forget();
        let started = SystemTime::now();
        make_one(package, kernel, &dir, modules)?;
        build.record(started)?;
    }
    let warnings = object::warnings(&dir.join(format!("{module}_rust.o")))?;
    if is_fresh {
        warnings.iter().for_each(ui::warning);
    }
    let ko = dir.join(format!("{module}.ko"));
    let manifest = check(&ko, &module, &kernel.release)?;
    let (package, release) = (package.name.to_string(), kernel.release.clone());
    Ok(Built { package, module, ko, release, warnings, manifest })
}

/// Has Kbuild make a module.
fn make_one(package: &Package, kernel: &Kernel, dir: &Path, modules: &[PathBuf]) -> Result<()> {
    let crate_dir = package.manifest_path.parent().expect("a Cargo.toml stands in a folder");
    let progress = ui::spinner("Building", format!("{} for {}", package.name, kernel.release));
    let said = make(kernel, dir, crate_dir.as_std_path(), modules)?;
    drop(progress);
    said.fatal(&package.name).map_or(Ok(()), Err)
}

/// What make and the tools that it ran said, and how it ended.
struct Said {
    /// All that came, for the case that it failed.
    all: Vec<String>,
    /// Warnings of tools whose warnings are errors.
    warnings: Vec<String>,
    success: bool,
}

/// Runs Kbuild. What rustc says is passed on as it comes.
fn make(kernel: &Kernel, dir: &Path, crate_dir: &Path, modules: &[PathBuf]) -> Result<Said> {
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let mut command = Command::new("make");
    command
        .arg("-C")
        .arg(&kernel.kdir)
        .arg(format!("M={}", dir.display()))
        .arg(format!("KLP_CRATE={}", crate_dir.display()))
        .arg(format!("CARGO_KLP={} klp", this.display()))
        .arg(format!("KLP_MODULES={}", list(modules)))
        .arg("modules")
        .env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if std::io::stderr().is_terminal() {
        command.env("CLICOLOR_FORCE", "1");
    }
    let mut child = command.spawn().map_err(|source| not_started(command.get_program(), source))?;
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let quiet = std::thread::spawn(move || lines(stdout).collect::<Vec<_>>());
    let mut said = Said { all: Vec::new(), warnings: Vec::new(), success: false };
    for line in lines(stderr) {
        match Line::of(&line) {
            Line::Warning => said.warnings.push(line.clone()),
            Line::Kbuild => {}
            Line::Rust => anstream::eprintln!("{line}"),
        }
        said.all.push(line);
    }
    let stdout = quiet.join().expect("reading does not panic");
    said.warnings.extend(stdout.iter().filter(|line| Line::of(line) == Line::Warning).cloned());
    said.all.splice(0..0, stdout);
    said.success = child.wait().map_err(Error::io("run", "make"))?.success();
    Ok(said)
}

/// Paths as a variable of make has them.
fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}

fn lines(stream: impl std::io::Read) -> impl Iterator<Item = String> {
    BufReader::new(stream)
        .split(b'\n')
        .map_while(Result::ok)
        .map(|line| String::from_utf8_lossy(&line).into_owned())
}

/// Who said a line of make's output.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// A tool whose warnings are errors: objtool, modpost, the C compiler.
    Warning,
    /// Kbuild, about its own work.
    Kbuild,
    /// rustc and cargo, or `cargo klp object`.
    Rust,
}

impl Line {
    fn of(line: &str) -> Self {
        let lower = line.to_ascii_lowercase();
        let by_tool = lower.contains("objtool:") || lower.contains("modpost:") || lower.contains(".c:");
        if by_tool && (lower.contains("warning:") || lower.contains("error:")) {
            return Self::Warning;
        }
        let kbuild = [
            "make",
            "Skipping BTF generation",
            "warning: the compiler differs",
            "  The kernel was built by",
            "  You are using",
        ];
        if kbuild.iter().any(|start| line.starts_with(start)) { Self::Kbuild } else { Self::Rust }
    }
}

impl Said {
    /// Why the build failed, if it did.
    fn fatal(self, package: &str) -> Option<Error> {
        if !self.warnings.is_empty() {
            return Some(Error::Warnings { tool: "Kbuild's tools", lines: self.warnings.join("\n") });
        }
        if self.success {
            return None;
        }
        // What rustc and `cargo klp object` said is on the screen already.
        let told =
            |line: &String| Line::of(line) == Line::Rust && strip_str(line).to_string().starts_with("error");
        let package = package.to_owned();
        Some(if self.all.iter().any(told) {
            Error::NotBuilt { package }
        } else {
            Error::Kbuild { package, output: self.all.join("\n") }
        })
    }
}

/// Looks at the finished module: every table entry is there, and the kernel will know it as a livepatch.
fn check(ko: &Path, module: &str, release: &str) -> Result<Manifest> {
    let data = fs::read(ko).map_err(Error::io("read", ko))?;
    let file = ::object::File::parse(&*data).map_err(Error::elf("read the finished module"))?;
    let manifest = Manifest::read(&file)?;
    check_tables(ko, &file, &manifest)?;
    let enabled = manifest.patch.as_ref().is_none_or(|patch| patch.enable);
    inspect::modinfo::check(ko, &file, module, release, enabled)?;
    finish::check(ko, &data)?;
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_warning_is_told_from_what_rustc_says() {
        for line in [
            "vmlinux.o: warning: objtool: f+0x10: unreachable instruction",
            "WARNING: modpost: missing MODULE_LICENSE() in x.o",
            "ERROR: modpost: \"nothing\" [x.ko] undefined!",
            "/x/klp_glue.c:12:3: warning: unused variable",
        ] {
            assert_eq!(Line::of(line), Line::Warning, "{line}");
        }
        assert_eq!(Line::of("warning: unused variable: `x`"), Line::Rust);
        assert_eq!(Line::of("make[1]: *** [Makefile] Error 2"), Line::Kbuild);
        assert_eq!(
            Line::of("Skipping BTF generation for x.ko due to unavailability of vmlinux"),
            Line::Kbuild
        );
        assert_eq!(
            Line::of("warning: the compiler differs from the one used to build the kernel"),
            Line::Kbuild
        );
    }
}
