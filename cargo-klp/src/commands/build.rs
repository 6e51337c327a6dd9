//! `cargo klp build`: patch crates to modules.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;

use super::args::{DebugInfoArgs, Format, MessageFormat, PackageArgs, SigningArgs, TargetArgs};
use super::cargo_messages::{CargoMessages, Printer};
use super::ui::Terminal;
use crate::error::Result;
use crate::host::processors;
use crate::host::report::Reporter;
use crate::kbuild::workspace::{metadata, select_packages};
use crate::kbuild::{Built, build};
use crate::kernel::{KernelParts, Target};

/// Arguments of `cargo klp build`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp build                               this directory's patch, for the running kernel
  cargo klp build --kernel 6.1                  for the newest 6.1 kernel on this machine
  cargo klp build -p fix_a -p fix_b             two patches of a workspace
  cargo klp build --workspace --locked          all of them, with the dependencies of Cargo.lock
  cargo klp build --artifact-dir out            and copies the modules to `out`
  insmod $(cargo klp build)                     the path of each module is printed on stdout
  cargo klp build --message-format json         an object for each module, or each error
  cargo klp build --message-format cargo        as cargo does, for editors
  cargo klp build --key key.pem --cert cert.pem signed modules

Modules go into the target directory, as klp/RELEASE/NAME/NAME.ko, and are copied to --artifact-dir. A build that fails \
leaves none in either place.")]
pub struct Args {
    #[command(flatten)]
    packages: PackageArgs,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    debug_info: DebugInfoArgs,

    #[command(flatten)]
    signing: SigningArgs,

    /// How many patches to build at the same time; by default as many as this machine has processors.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZero<usize>>,

    /// Copy the modules to this directory.
    #[arg(long, value_name = "PATH")]
    artifact_dir: Option<PathBuf>,

    /// The format of the results on stdout.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    message_format: Format,
}

/// Builds, and prints what was built.
pub fn main(args: &Args) -> Result<ExitCode> {
    match args.message_format {
        Format::Human => {
            build_all(args, &Terminal)?.iter().for_each(|built| println!("{}", built.ko.display()));
            Ok(ExitCode::SUCCESS)
        }
        Format::Json => MessageFormat::Json.run(|| {
            for built in build_all(args, &Terminal)? {
                println!("{}", serde_json::to_string(&built).expect("plain data"));
            }
            Ok(ExitCode::SUCCESS)
        }),
        Format::Cargo => Printer::run(|printer| {
            let packages = args.packages.query();
            let metadata = metadata(packages.manifest_path.as_deref(), &packages.flags)?;
            let messages = CargoMessages { printer, metadata: &metadata };
            let built = build_all(args, &messages).inspect_err(|error| {
                // What is not said of one package concerns all.
                if let Ok([package, ..]) = select_packages(&metadata, &packages).as_deref() {
                    messages.error(package, error);
                }
            })?;
            built.iter().for_each(|built| messages.module(built));
            Ok(ExitCode::SUCCESS)
        }),
    }
}

fn build_all(args: &Args, reporter: &dyn Reporter) -> Result<Vec<Built>> {
    let signing = args.signing.find()?;
    let target = args.target.find_with(&args.debug_info, KernelParts::Headers)?;
    let target = Target { signing, ..target };
    let jobs = args.jobs.map_or_else(processors, NonZero::get);
    build(&args.packages.query(), &target, jobs, args.artifact_dir.as_deref(), reporter)
}
