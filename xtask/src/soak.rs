//! `cargo xtask soak`: runs what takes too long for `cargo xtask test`: the crates as they are published, the options of
//! kernels that change code, patches made of real fixes, a random walk over builds, all kernel tests on the debug kernel,
//! on one that Clang has built with kCFI and on one for arm64, a patch with the kernel's own Rust crate, these and the
//! selftests on kernels that `test` leaves out, a thousand cycles and random sequences on each kernel, minutes of fuzzing,
//! and `cargo xtask operate`.

use std::hash::{BuildHasher, RandomState};
use std::process::{Command, ExitCode};
use std::time::Instant;

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::commands::ui;
use cargo_klp::error::Result;
use cargo_klp::kernel::DEFAULT_SERIES;

use crate::command::{TestKernel, cargo, status};
use crate::fuzz::{self, Fuzzer};
use crate::{kselftest, operate, own_kernel};

/// Arguments of `cargo xtask soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kernels besides the debug kernel: releases or series.
    #[arg(long, value_name = "RELEASE", value_delimiter = ',', default_values = ["6.12", "6.1", "7.3"])]
    kernel: Vec<String>,

    /// Run on the debug kernel only.
    #[arg(long, conflicts_with = "kernel")]
    debug_kernel_only: bool,

    /// Run the tests on the kernel with kCFI, and nothing else.
    #[arg(long, conflicts_with_all = ["kernel", "debug_kernel_only"])]
    cfi_kernel_only: bool,

    /// Run the test of a patch with the kernel's own Rust crate, and nothing else.
    #[arg(long, conflicts_with_all = ["kernel", "debug_kernel_only", "cfi_kernel_only"])]
    kernel_crate_only: bool,

    /// Run the tests on the kernel for arm64, and nothing else.
    #[arg(long, conflicts_with_all = ["kernel", "debug_kernel_only", "cfi_kernel_only", "kernel_crate_only"])]
    arm64_only: bool,

    /// The seed of the random sequences; by default a new one each time.
    #[arg(long)]
    seed: Option<u32>,

    /// The number of random sequences on each kernel.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    sequences: u32,

    /// How long each fuzz target runs, in seconds; 0 to leave them out.
    #[arg(long, value_name = "N", default_value_t = 120)]
    fuzz_seconds: u32,

    /// The number of steps of the random walk over builds of a patch.
    #[arg(long, value_name = "N", default_value_t = 500)]
    steps: u32,
}

/// The kernels that `cargo xtask test` runs all tests on.
const OF_TEST: [&str; 2] = ["6.12", "6.1"];
/// The kernels that the random walk builds for.
const KERNELS_OF_WALK: [&str; 2] = ["6.12", "6.1"];
/// The kernels that real fixes are for.
const KERNELS_OF_FIXES: [&str; 2] = ["6.12", "6.1"];
/// The kernels in whose sources the options that change code are looked for.
const KERNELS_OF_OPTIONS: [&str; 3] = ["6.12", "6.1", "7.3"];
/// The kernel with Rust code.
const KERNEL_WITH_CRATE: &str = "7.3";
/// The test of random sequences.
pub(crate) const SEQUENCES: &str = "random_sequences_agree_with_the_model";

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    // Short enough to type.
    let seed = args.seed.unwrap_or_else(|| (RandomState::new().hash_one(()) % 1_000_000) as u32);
    if args.arm64_only {
        let passed = on_arm64_kernel(seed, args.sequences)?;
        return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if args.cfi_kernel_only {
        let passed = on_cfi_kernel(seed, args.sequences)?;
        return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if args.kernel_crate_only {
        let passed = with_kernel_crate()?;
        return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let kernels: &[String] = if args.debug_kernel_only { &[] } else { &args.kernel };
    let mut requirements =
        vec![Requirement::Build, Requirement::Run, Requirement::Kernel(DEFAULT_SERIES.into())];
    requirements.extend(own_kernel::REQUIREMENTS);
    requirements.extend(fuzz::REQUIREMENTS);
    requirements.extend(operate::REQUIREMENTS);
    requirements.extend(kselftest::REQUIREMENTS);
    requirements.extend(kernels.iter().cloned().map(Requirement::Kernel));
    requirements.extend(KERNELS_OF_WALK.map(|series| Requirement::Kernel(series.into())));
    requirements.extend(KERNELS_OF_FIXES.map(|series| Requirement::Source(series.into())));
    requirements.extend(KERNELS_OF_OPTIONS.map(|series| Requirement::Kernel(series.into())));
    requirements.extend(KERNELS_OF_OPTIONS.map(|series| Requirement::Source(series.into())));
    doctor::ensure(&requirements)?;

    let debug = own_kernel::DEBUG.get()?;
    let mut steps = vec![
        Step::packages(),
        Step::options(),
        Step::fixes(),
        Step::walk(seed, args.steps),
        Step::all_tests(&debug),
    ];
    let others = kernels.iter().filter(|kernel| !OF_TEST.contains(&kernel.as_str())).cloned();
    let others: Vec<String> = others.collect();
    steps.extend(others.iter().map(|kernel| Step::all_tests(&TestKernel::stock(kernel))));
    let stock = kernels.iter().map(|kernel| TestKernel::stock(kernel));
    for kernel in std::iter::once(debug).chain(stock) {
        steps.push(Step::cycles(&kernel));
        steps.push(Step::sequences(&kernel, seed, args.sequences));
    }
    let mut passed = true;
    for step in steps {
        passed &= step.run()?;
    }
    passed &= on_cfi_kernel(seed, args.sequences)?;
    passed &= with_kernel_crate()?;
    passed &= on_arm64_kernel(seed, args.sequences)?;
    passed &= kselftest::run_on(&others, false)?;
    if args.fuzz_seconds > 0 {
        let fuzzer = Fuzzer::new()?;
        for (target, _) in klp_fuzz::TARGETS {
            passed &= fuzzer.run(target, args.fuzz_seconds)?;
        }
    }
    // It needs root, and comes last, so that all else is known where it can't run.
    passed &= operate::run(DEFAULT_SERIES, false)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all tests on the kernel that Clang has built, among them that of calls by pointer.
fn on_cfi_kernel(seed: u32, sequences: u32) -> Result<bool> {
    let mut requirements =
        vec![Requirement::Build, Requirement::Run, Requirement::Kernel(DEFAULT_SERIES.into())];
    requirements.extend(own_kernel::REQUIREMENTS);
    requirements.extend(own_kernel::CLANG);
    doctor::ensure(&requirements)?;
    let kernel = own_kernel::CFI.get()?;
    let mut all = Step::all_tests(&kernel);
    all.tests.env("KLP_TEST_BOOTS", "sound,parallel,crash,types");
    let passed = all.run()?;
    Ok(Step::sequences(&kernel, seed, sequences).run()? && passed)
}

/// Makes the `kernel` crate of a stock kernel, and runs the test of a patch that uses it.
fn with_kernel_crate() -> Result<bool> {
    let series = KERNEL_WITH_CRATE.to_owned();
    doctor::ensure(&[
        Requirement::Build,
        Requirement::Run,
        Requirement::Kernel(series.clone()),
        Requirement::KernelCrate(series),
    ])?;
    let kernel = TestKernel::stock(KERNEL_WITH_CRATE);
    let mut tests = kernel.tests();
    tests.env("KLP_TEST_BOOTS", "kernel-crate");
    Step { name: format!("a patch with the `kernel` crate of {}", kernel.name), tests }.run()
}

/// Runs all tests and random sequences on the kernel for arm64.
fn on_arm64_kernel(seed: u32, sequences: u32) -> Result<bool> {
    let series = own_kernel::ARM64.series;
    let mut requirements = vec![Requirement::Build, Requirement::Run, Requirement::Kernel(series.into())];
    requirements.extend(own_kernel::REQUIREMENTS);
    requirements.extend(own_kernel::ARM64_TOOLS);
    doctor::ensure(&requirements)?;
    let kernel = own_kernel::ARM64.get()?;
    Ok(Step::all_tests(&kernel).run()? & Step::sequences(&kernel, seed, sequences).run()?)
}

/// One run of tests.
struct Step {
    name: String,
    tests: Command,
}

impl Step {
    /// All of an ordinary run but the random sequences.
    fn all_tests(kernel: &TestKernel) -> Self {
        let mut tests = kernel.tests();
        tests.args(["--skip", SEQUENCES]);
        Self { name: format!("all tests on {}", kernel.name), tests }
    }

    /// The crates as a registry would have them.
    fn packages() -> Self {
        let tests = cargo(&["publish", "--workspace", "--dry-run", "--allow-dirty"]);
        Self { name: "the crates as they are published".into(), tests }
    }

    /// The table of options beside the sources of kernels.
    fn options() -> Self {
        let tests = cargo(&["test", "--quiet", "--package", "cargo-klp", "--lib", "kbuild::options"]);
        Self { name: "the options of kernels that change code".into(), tests }
    }

    /// Patches made of real fixes.
    fn fixes() -> Self {
        let tests =
            cargo(&["test", "--quiet", "--workspace", "--test", "fixes", "--", "--ignored", "--nocapture"]);
        Self { name: "the corpus of fixes".into(), tests }
    }

    /// Builds of a patch while everything that it is made of changes.
    fn walk(seed: u32, steps: u32) -> Self {
        let mut tests =
            cargo(&["test", "--quiet", "--workspace", "--test", "walk", "--", "--ignored", "--nocapture"]);
        tests.env("KLP_WALK_SEED", seed.to_string()).env("KLP_WALK_STEPS", steps.to_string());
        Self { name: format!("{steps} steps of seed {seed} over builds"), tests }
    }

    fn cycles(kernel: &TestKernel) -> Self {
        let mut tests = kernel.tests();
        tests.env("KLP_TEST_BOOTS", "soak");
        Self { name: format!("1000 cycles on {}", kernel.name), tests }
    }

    fn sequences(kernel: &TestKernel, seed: u32, sequences: u32) -> Self {
        let mut tests = kernel.tests();
        tests.args(["--exact", SEQUENCES]);
        tests.env("KLP_TEST_SEED", seed.to_string()).env("KLP_TEST_SEQUENCES", sequences.to_string());
        Self { name: format!("{sequences} random sequences of seed {seed} on {}", kernel.name), tests }
    }

    /// Runs the step and says how it ended; whether it passed.
    fn run(mut self) -> Result<bool> {
        ui::status("Running", &self.name);
        let start = Instant::now();
        let passed = status(&mut self.tests)?.success();
        let result = if passed { "Passed" } else { "Failed" };
        ui::status(result, format_args!("{} in {} s", self.name, start.elapsed().as_secs()));
        Ok(passed)
    }
}
