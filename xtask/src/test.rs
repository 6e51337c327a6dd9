//! `cargo xtask test`: all tests, then the kernel's own selftests.

use std::process::ExitCode;

use cargo_klp::commands::doctor::{self, Need};
use cargo_klp::error::Result;
use cargo_klp::host::ui;

use crate::command::{cargo, status};
use crate::kselftest;

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kernels that the tests on real kernels run on: releases or series.
    #[arg(long, value_name = "RELEASE", value_delimiter = ',', default_values = ["6.12", "6.1"])]
    kernel: Vec<String>,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let mut needs = vec![Need::Build, Need::Run, kselftest::UNPACKER];
    needs.extend(args.kernel.iter().cloned().map(Need::Kernel));
    // Tests of the command itself are for this series.
    needs.push(Need::Kernel(doctor::DEFAULT_SERIES.into()));
    doctor::ensure(&needs)?;

    ui::status("Testing", "the workspace, on real kernels too; then the kernel's own selftests");
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
    tests.env("KLP_TEST_KERNELS", args.kernel.join(","));
    let passed = status(&mut tests)?.success();
    let passed = kselftest::run_on(&args.kernel, false)? && passed;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
