//! Programs that the commands call.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use cargo_klp::error::{Error, Result};
use cargo_klp::host::tools::not_started;

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the repository")
}

/// cargo, at the top of the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(root());
    command
}

/// A kernel that the tests on real kernels run on.
pub(crate) struct TestKernel {
    /// Its release, or its series.
    pub(crate) name: String,
    /// The cache that it is in, if not the usual one.
    pub(crate) cache: Option<PathBuf>,
}

impl TestKernel {
    /// The distribution's kernel of this release or series.
    pub(crate) fn stock(name: &str) -> Self {
        Self { name: name.into(), cache: None }
    }

    /// The tests on it. What is appended are arguments of the test program.
    ///
    /// Of the whole workspace, as in `cargo xtask test`: with other features all would be compiled once more.
    pub(crate) fn tests(&self) -> Command {
        let mut tests = cargo(&["test", "--quiet", "--workspace", "--test", "kernel", "--"]);
        tests.env("KLP_TEST_KERNELS", &self.name);
        if let Some(cache) = &self.cache {
            tests.env("KLP_CACHE", cache);
        }
        tests
    }
}

/// Runs a program to its end, its output shown.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command.status().map_err(|source| not_started(command.get_program(), source))
}

/// Builds patches of this workspace with `cargo klp build`; the modules, or none if it failed and has printed why.
/// They may patch these modules, which are not built yet.
pub(crate) fn build_patches(
    packages: &[&str],
    release: &str,
    unknown_modules: &[&str],
) -> Result<Option<Vec<PathBuf>>> {
    let mut command = cargo(&["run", "--quiet", "--package", "cargo-klp", "--", "klp", "build"]);
    command.args(["--kernel", release]).stderr(Stdio::inherit());
    for package in packages {
        command.args(["--package", package]);
    }
    for module in unknown_modules {
        command.args(["--unknown-module", module]);
    }
    let output = command.output().map_err(Error::io("run", "cargo"))?;
    let modules = String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect();
    Ok(output.status.success().then_some(modules))
}
