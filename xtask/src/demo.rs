//! `cargo xtask demo`: builds the examples and shows that they work on a stock kernel.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::commands::ui::{self, Terminal};
use cargo_klp::error::Result;
use cargo_klp::kernel::{KernelParts, KernelQuery};
use cargo_klp::vm::Vm;

use crate::command::build_patches;

/// Arguments of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kernel: a release, or a series such as 6.12.
    #[arg(long, value_name = "RELEASE", default_value = cargo_klp::kernel::DEFAULT_SERIES)]
    kernel: String,
}

/// The script for the guest.
const SCRIPT: &str = include_str!("demo.sh");

const EXAMPLES: [&str; 4] =
    ["livepatch-cmdline", "livepatch-loglevel-v1", "livepatch-loglevel-v2", "livepatch-task-shadow"];

/// A limit far above the time that the demo takes.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    doctor::ensure(&[Requirement::Build, Requirement::Run, Requirement::Kernel(args.kernel.clone())])?;
    let wanted = KernelQuery::Release(args.kernel.clone());
    let kernel = wanted.find(KernelParts::Image)?;
    let Some(modules) = build_patches(&EXAMPLES, &kernel.release, &[])? else {
        return Ok(ExitCode::FAILURE);
    };
    let directory = modules[0].ancestors().nth(2).expect("a module stands in its patch's directory");

    ui::status("Booting", format_args!("{} in QEMU", kernel.release));
    let command = ["/bin/sh", "-c", SCRIPT].map(OsString::from);
    let outcome = Vm::new(&kernel)
        .report_to(&Terminal)
        .cpus(1)
        .env("MODULES", directory)
        .env("CONFIG_RUST", kernel.config("CONFIG_RUST").unwrap_or("n"))
        .timeout(LIMIT)
        .run_with(&command, anstream::stdout(), anstream::stderr())?;
    if outcome.code != 0 {
        eprintln!("\nthe kernel log:\n{}", outcome.kernel_log);
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
