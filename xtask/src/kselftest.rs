//! `cargo xtask kselftest`: the kernel's own livepatch selftests, with modules written with klp.
//!
//! The unmodified scripts, and the modules that are not livepatches, come from the source package of
//! the distribution's kernel. Each script runs twice in one boot: with its own modules in C,
//! and with those of `tests/kselftest` under the same names.
//!
//! From 6.12 on the scripts load `test_modules/NAME.ko`. In 6.1 they call `modprobe NAME`, as the
//! modules are built in the kernel's tree: there a directory with the modules, and the index that depmod
//! makes of it, is mounted in place of `/lib/modules/RELEASE` while the scripts run.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::commands::ui::{self, Terminal};
use cargo_klp::error::{Error, Result};
use cargo_klp::host::cache;
use cargo_klp::host::debian::Apt;
use cargo_klp::host::tools::run_tool;
use cargo_klp::kernel::{Kernel, KernelParts, KernelQuery};
use cargo_klp::vm::{Vm, has_kvm};

use crate::command::{build_patches, root};

/// Arguments of `cargo xtask kselftest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kernels: releases or series.
    #[arg(long, value_name = "RELEASE", value_delimiter = ',', default_values = ["6.12", "6.1"])]
    kernel: Vec<String>,

    /// Leave out the modules in C, which show how the kernel itself behaves.
    #[arg(long)]
    no_baseline: bool,
}

/// The requirements besides those of building and running patches.
pub(crate) const REQUIREMENTS: [Requirement; 2] = [
    Requirement::Program("xz", "xz-utils", "unpacks the kernel's sources"),
    Requirement::Program("sysctl", "procps", "is called by the kernel's selftests"),
];

/// The script for the guest.
const SCRIPT: &str = include_str!("kselftest.sh");

/// A limit far above the time that it takes.
const LIMIT: Duration = Duration::from_secs(2400);

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let mut needs = vec![Requirement::Build, Requirement::Run];
    needs.extend(REQUIREMENTS);
    needs.extend(args.kernel.iter().cloned().map(Requirement::Kernel));
    doctor::ensure(&needs)?;

    let passed = run_on(&args.kernel, !args.no_baseline)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all scripts on these kernels, with the modules in C first if `baseline`; whether all tests
/// passed with our modules.
///
/// The kernels run at the same time: the scripts wait a lot. The results of each are printed together.
pub(crate) fn run_on(kernels: &[String], baseline: bool) -> Result<bool> {
    let kernels = kernels
        .iter()
        .map(|wanted| KernelQuery::Release(wanted.clone()).find(KernelParts::Image))
        .collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let runs: Vec<_> = kernels.iter().map(|kernel| scope.spawn(|| run(kernel, baseline))).collect();
        let mut passed = true;
        for run in runs {
            passed &= run.join().expect("a run returns its errors")?;
        }
        Ok(passed)
    })
}

/// Runs all scripts on one kernel and prints the results.
fn run(kernel: &Kernel, baseline: bool) -> Result<bool> {
    let sources = sources(kernel)?;
    let scripts = sources.join("tools/testing/selftests/livepatch");
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let c = prepare(&sources, &scripts, &directory.path().join("c"))?;
    build_c(kernel, &sources, &c)?;
    let Modules { ours, others } = modules(&c.join("test_modules"))?;
    let [packages, unknown] =
        [&ours, &others].map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
    let Some(modules) = build_patches(&packages, &kernel.release, &unknown)? else { return Ok(false) };
    let klp = prepare(&sources, &scripts, &directory.path().join("klp"))?;
    let others = others.iter().map(|name| c.join("test_modules").join(name).with_extension("ko"));
    for module in modules.iter().cloned().chain(others) {
        copy(&module, &klp.join("test_modules"))?;
    }
    for side in [&c, &klp] {
        index(kernel, side)?;
    }

    // The directory of the kernel's modules, which has a link there, is covered in the guest.
    let kdir = kernel.kdir.canonicalize().map_err(Error::io("find", &kernel.kdir))?;
    ui::status("Testing", format_args!("{} with {} modules in Rust", kernel.release, modules.len()));
    let results = Arc::new(Mutex::new(Results { expected: tests_of(&scripts)?, ..Results::default() }));
    let command = ["/bin/bash", "-c", SCRIPT].map(OsString::from);
    let vm = Vm::new(kernel).report_to(&Terminal).cpus(1);
    // If it is emulated, its time is the instructions that it executes: the scripts' waiting takes none of ours, and on a
    // busy machine no transition gets late.
    let vm = if has_kvm() { vm } else { vm.count_instructions() };
    let outcome = vm
        .env("DIRECTORY", directory.path())
        .env("KDIR", kdir)
        .env("SIDES", if baseline { "c klp" } else { "klp" })
        .timeout(LIMIT)
        .run_with(&command, Lines::new(Arc::clone(&results)), io::stderr())?;
    let results = results.lock().expect("the reader has ended");
    let (report, passed) = results.report(&kernel.release);
    print!("{report}");
    if !passed || outcome.code != 0 {
        eprintln!("\n{}", results.output);
    }
    Ok(passed && outcome.code == 0)
}

/// The parts of the kernel's source package that the tests are made of.
fn sources(kernel: &Kernel) -> Result<PathBuf> {
    let series = kernel.release.split(['.', '-']).take(2).collect::<Vec<_>>().join(".");
    let package = format!("linux-source-{series}");
    let entry = cache::entry(Path::new("kselftest").join(&kernel.release), |dir| {
        let unpacked = tempfile::tempdir_in(dir).map_err(Error::io("create", dir))?;
        Apt::of_kernel(&kernel.release, &Terminal)?.download_and_extract(&package, None, unpacked.path())?;
        let _spinner = ui::spinner("Unpacking", &package);
        let archive = unpacked.path().join(format!("usr/src/{package}.tar.xz"));
        let parts =
            ["tools/testing/selftests/livepatch/*", "tools/testing/selftests/kselftest/*", "lib/livepatch/*"];
        let mut tar = Command::new("tar");
        tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(dir);
        tar.args(["--strip-components=1", "--wildcards"]).args(parts.map(|part| format!("{package}/{part}")));
        // Newer kernels have no lib/livepatch, and tar reports that at the end.
        match run_tool(&mut tar) {
            Err(Error::Tool { .. }) if dir.join("tools/testing/selftests/livepatch").exists() => Ok(()),
            result => result.map(|_| ()),
        }
    })?;
    Ok(entry)
}

/// A directory with the scripts, and room for modules beside them.
fn prepare(sources: &Path, scripts: &Path, directory: &Path) -> Result<PathBuf> {
    let side = directory.join("livepatch");
    fs::create_dir_all(side.join("test_modules")).map_err(Error::io("create", &side))?;
    for script in entries(scripts)?.into_iter().filter(|path| path.is_file()) {
        copy(&script, &side)?;
    }
    let helpers = directory.join("kselftest");
    fs::create_dir_all(&helpers).map_err(Error::io("create", &helpers))?;
    for helper in entries(&sources.join("tools/testing/selftests/kselftest"))? {
        copy(&helper, &helpers)?;
    }
    let program = side.join("test_klp-call_getpid.c");
    if program.exists() {
        run_tool(Command::new("gcc").arg("-o").arg(program.with_extension("")).arg(&program))?;
    }
    Ok(side)
}

/// Builds the modules in C, which are in another directory before 6.12.
fn build_c(kernel: &Kernel, sources: &Path, side: &Path) -> Result<()> {
    let modules = side.join("test_modules");
    let own = sources.join("tools/testing/selftests/livepatch/test_modules");
    let own = if own.exists() { own } else { sources.join("lib/livepatch") };
    let mut objects = String::new();
    for source in entries(&own)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "c")) {
        copy(&source, &modules)?;
        let name = source.file_stem().expect("it has an extension").to_string_lossy();
        objects.push_str(&format!("obj-m += {name}.o\n"));
    }
    let kbuild = modules.join("Kbuild");
    fs::write(&kbuild, objects).map_err(Error::io("write", &kbuild))?;
    let _spinner = ui::spinner("Building", "the modules in C");
    run_tool(
        Command::new("make")
            .arg("-C")
            .arg(&kernel.kdir)
            .arg(format!("M={}", modules.display()))
            .arg("modules")
            .env_remove("MAKEFLAGS")
            .stdin(Stdio::null()),
    )?;
    Ok(())
}

/// The number of tests in the scripts.
fn tests_of(scripts: &Path) -> Result<usize> {
    let mut tests = 0;
    for script in entries(scripts)?.iter().filter(|path| path.extension().is_some_and(|e| e == "sh")) {
        let text = fs::read_to_string(script).map_err(Error::io("read", script))?;
        tests += text.lines().filter(|line| line.trim_start().starts_with("start_test ")).count();
    }
    Ok(tests)
}

/// The modules of the scripts, by name.
#[derive(Default)]
struct Modules {
    /// Those that are written with klp.
    ours: Vec<String>,
    /// Those that patch nothing; both runs use them in C.
    others: Vec<String>,
}

/// Tells the modules in a directory, built in C, apart.
///
/// # Errors
///
/// [`Error::Request`] for a livepatch that is not written with klp: a test with it would show nothing.
fn modules(directory: &Path) -> Result<Modules> {
    let mut modules = Modules::default();
    let mut missing = Vec::new();
    for module in entries(directory)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "ko")) {
        let name = module.file_stem().expect("it has an extension").to_string_lossy().into_owned();
        let data = fs::read(&module).map_err(Error::io("read", &module))?;
        if root().join("tests/kselftest").join(&name).exists() {
            modules.ours.push(name);
        } else if is_livepatch(&data) {
            missing.push(name);
        } else {
            modules.others.push(name);
        }
    }
    if missing.is_empty() {
        return Ok(modules);
    }
    Err(Error::Request {
        message: format!("tests/kselftest lacks modules that the scripts load: {}", missing.join(", ")),
        help: "write them with klp, under these names".into(),
    })
}

/// Whether a module says that it is a livepatch.
fn is_livepatch(module: &[u8]) -> bool {
    let line = b"livepatch=Y\0";
    module.windows(line.len()).any(|window| window == line)
}

/// Makes the index in which `modprobe` looks up modules.
fn index(kernel: &Kernel, side: &Path) -> Result<()> {
    let base = side.join("root");
    let modules = base.join("lib/modules").join(&kernel.release);
    fs::create_dir_all(&modules).map_err(Error::io("create", &modules))?;
    for module in entries(&side.join("test_modules"))? {
        if module.extension().is_some_and(|extension| extension == "ko") {
            copy(&module, &modules)?;
        }
    }
    for name in ["modules.order", "modules.builtin"] {
        let file = modules.join(name);
        fs::write(&file, "").map_err(Error::io("write", &file))?;
    }
    let depmod = cargo_klp::host::tools::find_program("depmod").unwrap_or_else(|| "depmod".into());
    run_tool(Command::new(depmod).arg("-b").arg(&base).arg(&kernel.release))?;
    Ok(())
}

fn copy(file: &Path, directory: &Path) -> Result<()> {
    let target = directory.join(file.file_name().expect("a file has a name"));
    fs::copy(file, &target).map_err(Error::io("copy", file))?;
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).map_err(Error::io("read", directory))?;
    let mut entries = entries
        .map(|entry| Ok(entry.map_err(Error::io("read", directory))?.path()))
        .collect::<Result<Vec<_>>>()?;
    entries.sort_unstable();
    Ok(entries)
}

/// The results of the scripts so far.
#[derive(Default)]
struct Results {
    /// The number of tests.
    expected: usize,
    output: String,
    /// Whose modules are loaded: `c` or `klp`.
    side: String,
    script: String,
    /// A line for each test.
    report: String,
    /// For each test: with whose modules, and whether it passed.
    tests: Vec<(String, bool)>,
    /// Scripts that did not succeed.
    failed: Vec<String>,
}

impl Results {
    /// Takes one line of the guest's output.
    fn line(&mut self, line: &str) {
        self.output.push_str(line);
        self.output.push('\n');
        if let Some(start) = line.strip_prefix("@start ") {
            let (side, script) = start.split_once(' ').unwrap_or((start, ""));
            (self.side, self.script) = (side.into(), script.into());
        } else if let Some(code) = line.strip_prefix("@end ") {
            if code != "0" {
                self.failed.push(format!("{} with {} modules: exit code {code}", self.script, self.side));
            }
        } else if let Some(test) = line.strip_prefix("TEST: ")
            && let Some((name, result)) = test.split_once(" ... ")
        {
            let passed = result == "ok";
            self.report.push_str(&format!("{:3} {}: {name} ... {result}\n", self.side, self.script));
            self.tests.push((self.side.clone(), passed));
        }
    }

    /// The results and their sums, and whether all tests ran and passed with our modules.
    fn report(&self, release: &str) -> (String, bool) {
        let mut report = self.report.clone();
        for failed in &self.failed {
            report.push_str(&format!("{failed}\n"));
        }
        for (side, language) in [("c", "C"), ("klp", "Rust")] {
            let of_side = || self.tests.iter().filter(|test| test.0 == side);
            let passed = of_side().filter(|test| test.1).count();
            if of_side().next().is_some() {
                let failed = self.expected.saturating_sub(passed);
                report.push_str(&format!(
                    "{release}, modules in {language}: {passed} passed, {failed} failed\n"
                ));
            }
        }
        let passed = self.tests.iter().filter(|test| **test == ("klp".to_owned(), true)).count();
        let failed = self.failed.iter().any(|failed| failed.contains(" with klp modules"));
        (report, self.expected > 0 && passed == self.expected && !failed)
    }
}

/// Splits the guest's output into lines.
struct Lines {
    results: Arc<Mutex<Results>>,
    rest: Vec<u8>,
}

impl Lines {
    fn new(results: Arc<Mutex<Results>>) -> Self {
        Self { results, rest: Vec::new() }
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            self.results.lock().map_err(|_| io::Error::other("the reader has ended"))?.line(&line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(output: &str) -> Results {
        let results = Arc::new(Mutex::new(Results { expected: 2, ..Results::default() }));
        Lines::new(Arc::clone(&results)).write_all(output.as_bytes()).unwrap();
        Arc::into_inner(results).unwrap().into_inner().unwrap()
    }

    const C: &str = "@start c test-a.sh\nTEST: one ... ok\nTEST: two ... ok\n@end 0\n";

    #[test]
    fn all_must_pass_with_our_modules() {
        let klp = "@start klp test-a.sh\nTEST: one ... ok\nTEST: two ... ok\n@end 0\n";
        assert!(results(klp).report("r").1);
        assert!(results(&format!("{C}{klp}")).report("r").1);
        assert!(!results(&klp.replace("two ... ok", "two ... not ok")).report("r").1);
        assert!(!results(&klp.replace("@end 0", "@end 1")).report("r").1);
    }

    #[test]
    fn a_test_that_did_not_run_has_not_passed() {
        assert!(!results(C).report("r").1);
        assert!(!results("@start klp test-a.sh\nTEST: one ... ok\n@end 0\n").report("r").1);
    }
}
