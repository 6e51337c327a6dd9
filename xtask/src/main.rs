//! The commands for developers of klp: `cargo xtask demo`, `test`, `soak`, `fuzz`, `fresh`, `operate`, `diff`,
//! `package-tools`, `mutants`, `kselftest` and `bench`.
//!
//! Each first installs what this machine lacks, as `cargo klp doctor --fix` does.

mod bench;
mod command;
mod demo;
mod diff;
mod fresh;
mod fuzz;
mod hide;
mod kselftest;
mod manual;
mod mutants;
mod operate;
mod own_kernel;
mod package_tools;
mod soak;
mod test;

use std::process::ExitCode;

use cargo_klp::commands::ui;
use clap::{Parser, Subcommand};

/// The commands for developers of klp. Each first installs what this machine lacks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the examples at work on a stock kernel in QEMU.
    Demo(demo::Args),
    /// Run all tests, including the tests on real kernels.
    Test(test::Args),
    /// Run what takes too long for `test`: all tests on a debug kernel, many cycles, random sequences, fuzzing.
    Soak(soak::Args),
    /// Fuzz the readers of kernels, modules and types with damaged input.
    Fuzz(fuzz::Args),
    /// Run the README's commands on a fresh machine: a bare Debian in a directory.
    Fresh(fresh::Args),
    /// Install, load and upgrade patches on a Debian guest with systemd, start it again, and bring it down.
    Operate(operate::Args),
    /// Make the Debian package of `klp`, which the packages of `cargo klp package` need.
    PackageTools(package_tools::Args),
    /// Compare the model and real kernels on random patches and random operations on them.
    Diff(diff::Args),
    /// Run the kernel's own livepatch selftests with modules written with klp.
    Kselftest(kselftest::Args),
    /// Make manual pages and completions of `cargo klp`.
    Manual(manual::Args),
    /// Plant faults in the engine, and report which tests find each of them.
    Mutants(mutants::Args),
    /// Measure what a patch costs, beside the same patch in C.
    Bench(bench::Args),
    /// The half of `bench` that runs in the guest.
    #[command(hide = true)]
    BenchGuest(bench::guest::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Soak(args) => soak::main(&args),
        Command::Fuzz(args) => fuzz::main(&args),
        Command::Fresh(args) => fresh::main(&args),
        Command::Operate(args) => operate::main(&args),
        Command::PackageTools(args) => package_tools::main(&args),
        Command::Diff(args) => diff::main(&args),
        Command::Kselftest(args) => kselftest::main(&args),
        Command::Manual(args) => manual::main(&args),
        Command::Mutants(args) => mutants::main(&args),
        Command::Bench(args) => bench::main(&args),
        Command::BenchGuest(args) => bench::guest::main(&args),
    };
    result.unwrap_or_else(|error| {
        ui::failure(&error);
        ExitCode::from(error.exit_code())
    })
}
