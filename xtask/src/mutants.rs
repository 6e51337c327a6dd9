//! `cargo xtask mutants`: plants faults in the engine, and reports which tests of the model, and whether `diff`, find
//! each of them.

use std::process::ExitCode;

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::error::Result;

use crate::command::{cargo, status};

/// Arguments of `cargo xtask mutants`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Plant only the faults whose description contains this text, such as S7.
    #[arg(value_name = "TEXT", default_value = "", hide_default_value = true)]
    faults: String,

    /// The seed of the sequences.
    #[arg(long, default_value_t = 1)]
    seed: u32,

    /// The largest number of random sequences for each fault; with 0 only the tests of the model run.
    #[arg(long, value_name = "N", default_value_t = 250)]
    sequences: u32,

    /// The kernel: a release or a series.
    #[arg(long, value_name = "RELEASE", default_value = cargo_klp::kernel::DEFAULT_SERIES)]
    kernel: String,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    doctor::ensure(&[Requirement::Build, Requirement::Run, Requirement::Kernel(args.kernel.clone())])?;
    let mut test = cargo(&["test", "--quiet", "--package", "klp-kernel-tests", "--test", "kernel"]);
    test.env("KLP_TEST_MUTANTS", &args.faults)
        .env("KLP_TEST_KERNELS", &args.kernel)
        .env("KLP_TEST_SEED", args.seed.to_string())
        .env("KLP_TEST_SEQUENCES", args.sequences.to_string());
    let all_found = status(&mut test)?.success();
    Ok(if all_found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
