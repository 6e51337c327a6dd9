//! `cargo xtask diff`: compares the model and real kernels on random patches and random operations.

use std::process::ExitCode;

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::error::Result;

use crate::command::{cargo, status};
use crate::soak::SEQUENCES;

/// Arguments of `cargo xtask diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The seed of the sequences: the same seed makes the same sequences.
    #[arg(long, default_value_t = 1)]
    seed: u32,

    /// The number of sequences, each of random patches and random operations on them.
    #[arg(long, value_name = "N", default_value_t = 100)]
    sequences: u32,

    /// How many of the first sequences are left out: where a difference came late, the sequence that shows it alone.
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: u32,

    /// The kernels: releases or series.
    #[arg(long, value_name = "RELEASE", value_delimiter = ',', default_values = ["6.12", "6.1"])]
    kernel: Vec<String>,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let mut needs = vec![Requirement::Build, Requirement::Run];
    needs.extend(args.kernel.iter().cloned().map(Requirement::Kernel));
    doctor::ensure(&needs)?;

    let mut test = cargo(&["test", "--quiet", "--package", "klp-kernel-tests", "--test", "kernel", "--"]);
    test.args(["--exact", SEQUENCES])
        .env("KLP_TEST_KERNELS", args.kernel.join(","))
        .env("KLP_TEST_SEED", args.seed.to_string())
        .env("KLP_TEST_SEQUENCES", args.sequences.to_string())
        .env("KLP_TEST_SKIP", args.skip.to_string());
    let agree = status(&mut test)?.success();
    Ok(if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
