//! `cargo xtask fuzz`: gives the readers of the command damaged and hostile input, and sees that none of them panics,
//! takes long or takes much memory. `fuzz/` has the targets.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::commands::ui;
use cargo_klp::error::{Error, Result};
use cargo_klp::host::cache;
use cargo_klp::host::tools::run_tool;
use cargo_klp::kernel::{DEFAULT_SERIES, KernelParts, KernelQuery};
use klp_fuzz::{TARGETS, seeds};

use crate::command::{cargo, root, status};

/// Arguments of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The targets, such as `module`; all of them by default.
    #[arg(value_name = "TARGET", value_parser = TARGETS.map(|(name, _)| name))]
    targets: Vec<String>,

    /// How long each target runs, in seconds.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
}

/// The requirements besides those of building patches.
pub(crate) const REQUIREMENTS: [Requirement; 2] = [
    Requirement::Program("g++", "g++", "builds libFuzzer"),
    Requirement::Program("xz", "xz-utils", "packs inputs to start from"),
];

/// The release of cargo-fuzz.
const CARGO_FUZZ: &str = "0.13.2";

/// Limits of a run: seconds and MiB for each input, and bytes of an input.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=2048", "-max_len=65536"];

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let mut requirements = vec![Requirement::Build, Requirement::Kernel(DEFAULT_SERIES.into())];
    requirements.extend(REQUIREMENTS);
    doctor::ensure(&requirements)?;
    let mut passed = true;
    let fuzzer = Fuzzer::new()?;
    for target in TARGETS.map(|(name, _)| name) {
        if args.targets.is_empty() || args.targets.iter().any(|wanted| wanted == target) {
            passed &= fuzzer.run(target, args.seconds)?;
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The targets, built and with inputs to start from.
#[derive(Debug)]
pub(crate) struct Fuzzer {
    /// `PATH`, with cargo-fuzz.
    path: OsString,
    /// Where inputs are kept from one run to the next, and those that a target failed on.
    directory: PathBuf,
}

impl Fuzzer {
    /// Makes all that is needed.
    ///
    /// # Errors
    ///
    /// Something can't be built.
    pub(crate) fn new() -> Result<Self> {
        let tool = cache::entry(format!("tools/cargo-fuzz-{CARGO_FUZZ}"), install)?;
        let mut path = tool.join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let fuzzer = Self { path, directory: root().join("target/fuzz") };
        let kernel = KernelQuery::Release(DEFAULT_SERIES.into()).find(KernelParts::Image)?;
        let inputs = fuzzer.directory.join("inputs");
        seeds::write(root(), &inputs, kernel.modules.as_deref()).map_err(Error::io("write", &inputs))?;
        ui::status("Building", "the fuzz targets");
        run_tool(&mut fuzzer.cargo_fuzz("build"))?;
        Ok(fuzzer)
    }

    /// Runs a target for some seconds; whether it took all inputs.
    ///
    /// # Errors
    ///
    /// cargo can't be run.
    pub(crate) fn run(&self, target: &str, seconds: u32) -> Result<bool> {
        ui::status("Fuzzing", format_args!("{target} for {seconds} s"));
        let failed = self.directory.join("failed").join(target);
        std::fs::create_dir_all(&failed).map_err(Error::io("create", &failed))?;
        let mut run = self.cargo_fuzz("run");
        run.arg(target).arg(self.directory.join("inputs").join(target)).arg("--").args(LIMITS);
        run.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", failed.display()));
        // No kernel of this machine may be found by what an input says.
        run.args(["-print_final_stats=1", "-verbosity=0"])
            .env("KLP_CACHE", self.directory.join("no-kernels"));
        Ok(status(&mut run)?.success())
    }

    /// cargo-fuzz, with the pinned compiler: only the sanitizers need a nightly one. The readers are safe code, which
    /// panics where a sanitizer would tell of a fault.
    fn cargo_fuzz(&self, command: &str) -> Command {
        let mut cargo = cargo(&["fuzz", command, "--sanitizer", "none", "--features", "libfuzzer"]);
        cargo.env("PATH", &self.path);
        cargo
    }
}

/// Builds cargo-fuzz.
fn install(directory: &Path) -> Result<()> {
    ui::status("Installing", format_args!("cargo-fuzz {CARGO_FUZZ}"));
    let mut install =
        cargo(&["install", "--quiet", "--locked", "cargo-fuzz", "--version", CARGO_FUZZ, "--root"]);
    run_tool(install.arg(directory).arg("--target-dir").arg(directory.join("target")))?;
    let built = directory.join("target");
    std::fs::remove_dir_all(&built).map_err(Error::io("remove", &built))
}
