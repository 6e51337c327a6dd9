//! Where fixes become patches.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use cargo_klp::kernel::{Kernel, KernelParts, KernelQuery, source};
use cargo_klp::patch::inspect::inspect;

use crate::source::read;

/// A directory for patch crates, and the kernel that they are for.
pub(crate) struct Workshop {
    directory: tempfile::TempDir,
    pub(crate) kernel: Kernel,
    /// The kernel's source.
    pub(crate) source: PathBuf,
}

/// A patch.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) module: PathBuf,
    /// The functions that it replaces, in order: `OBJECT:FUNCTION`, or `FUNCTION` of vmlinux.
    pub(crate) functions: Vec<String>,
    /// The lines of its C files, without headers.
    pub(crate) c_lines: usize,
    /// What `cargo klp new` took, in seconds.
    pub(crate) new: f64,
    /// What `cargo klp build` took after that, in seconds.
    pub(crate) build: f64,
}

impl Workshop {
    pub(crate) fn new(series: &str) -> Self {
        let kernel = KernelQuery::Release(series.into()).find(KernelParts::Image);
        let kernel = kernel.unwrap_or_else(|error| panic!("{error}; {:?}", error.help()));
        let source = source::find(&kernel).unwrap();
        let source =
            source.unwrap_or_else(|| panic!("run `cargo klp doctor --fix --source --kernel {series}`"));
        Self { directory: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), kernel, source }
    }

    /// Makes a patch of a diff and builds it, or returns what the command said against it.
    pub(crate) fn make(&self, name: &str, diff: &str) -> Result<Made, String> {
        let file = self.directory.path().join(format!("{name}.patch"));
        fs::write(&file, diff).unwrap();
        let start = Instant::now();
        run(self.klp(self.directory.path(), &["new", name]).arg("--diff").arg(&file))?;
        let new = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let printed = run(&mut self.klp(&self.directory.path().join(name), &["build"]))?;
        let build = start.elapsed().as_secs_f64();
        let module = PathBuf::from(printed.trim());
        let report = inspect(&module).map_err(|error| error.to_string())?;
        let redirects = report.patch.map(|patch| patch.redirects).unwrap_or_default();
        let mut functions: Vec<String> = redirects
            .iter()
            .map(|redirect| match &*redirect.object {
                "vmlinux" => redirect.symbol.clone(),
                object => format!("{object}:{}", redirect.symbol),
            })
            .collect();
        functions.sort();
        let c_lines = c_lines(&self.directory.path().join(name).join("src"));
        Ok(Made { module, functions, c_lines, new, build })
    }

    fn klp(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
        command
            .args(arguments)
            .args(["--kernel", &self.kernel.release])
            .current_dir(directory)
            // What the patches depend on is compiled once for all tests.
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("patches"))
            .env_remove("MAKEFLAGS");
        command
    }
}

/// The lines of the C files of a directory.
fn c_lines(directory: &Path) -> usize {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|end| end == "c"))
        .map(|file| read(&file).lines().count())
        .sum()
}

/// What a command printed, or what it said when it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
