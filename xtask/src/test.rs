//! `cargo xtask test`: all tests, then the kernel's own selftests, then on the debug kernel the tests that find most
//! there in little time. The machine's own kernels are hidden from them.

use std::process::ExitCode;

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::commands::ui;
use cargo_klp::error::Result;

use crate::command::{cargo, status};
use crate::{hide, kselftest, own_kernel};

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kernels that the tests on real kernels run on: releases or series.
    #[arg(long, value_name = "RELEASE", value_delimiter = ',', default_values = ["6.12", "6.1"])]
    kernel: Vec<String>,

    /// Let the tests see the kernels installed on this machine: a test may then pass only here.
    #[arg(long)]
    no_hide: bool,

    /// Leave out the debug kernel, which is built from source once.
    #[arg(long)]
    no_debug_kernel: bool,
}

/// What tests make keys with.
const OPENSSL: Requirement =
    Requirement::Program("openssl", "openssl", "makes keys, and verifies signatures");
/// What a test asks which files of a patch crate are ignored.
const GIT: Requirement = Requirement::Program("git", "git", "says in a test which files it ignores");

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    // Packages are installed first: they may contain files in the directories that are hidden later.
    let mut needs = vec![Requirement::Build, Requirement::Run, OPENSSL, GIT];
    needs.extend(kselftest::REQUIREMENTS);
    if !args.no_debug_kernel {
        needs.extend(own_kernel::REQUIREMENTS);
    }
    doctor::ensure(&needs)?;
    if args.no_hide {
        ui::warning("the tests see the kernels of this machine: some may pass only here");
    } else {
        hide::kernels_of_this_machine()?;
    }
    needs.extend(args.kernel.iter().cloned().map(Requirement::Kernel));
    // The command's own tests use this series.
    needs.push(Requirement::Kernel(cargo_klp::kernel::DEFAULT_SERIES.into()));
    needs.push(Requirement::Source(cargo_klp::kernel::DEFAULT_SERIES.into()));
    doctor::ensure(&needs)?;

    ui::status("Testing", "the workspace, on real kernels too; then the kernel's own selftests");
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
    tests.env("KLP_TEST_KERNELS", args.kernel.join(","));
    let passed = status(&mut tests)?.success();
    let passed = kselftest::run_on(&args.kernel, false)? && passed;
    let passed = (args.no_debug_kernel || on_debug_kernel()?) && passed;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests on two processors and those of the checkers, without the failure of each allocation, which takes
/// longest: `cargo xtask soak` runs all.
fn on_debug_kernel() -> Result<bool> {
    let kernel = own_kernel::DEBUG.get()?;
    ui::status("Testing", format_args!("{}, whose checkers must find nothing", kernel.name));
    let mut tests = kernel.tests();
    tests.env("KLP_TEST_BOOTS", "parallel,checkers").args(["--skip", "each_allocation_of_a_load_fails"]);
    Ok(status(&mut tests)?.success())
}
