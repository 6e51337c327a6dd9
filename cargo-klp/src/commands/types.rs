//! `cargo klp types`: what is to be known of a kernel while a crate is compiled. Called by `kernel_types!`, which finds
//! the types of a module and answers about headers in the cache, and by build scripts, which are told of conditions.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use klp_format::env;
use klp_format::headers::read_request;

use super::args::TargetArgs;
use crate::error::{Error, Result};
use crate::host::report::Silent;
use crate::kbuild::cargo_flags::CargoFlags;
use crate::kbuild::conditions::{answers, conditions};
use crate::kbuild::headers;
use crate::kbuild::workspace::crate_of;
use crate::kernel::{KernelParts, Target, btf};

/// Arguments of `cargo klp types`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Answer questions about the kernel's headers, which stdin has.
    #[arg(long, conflicts_with = "module")]
    headers: bool,
    /// Answer the conditions on the kernel of the crate in a directory, in the language of build scripts.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["headers", "module"])]
    conditions: Option<PathBuf>,
    /// The module's name.
    #[arg(required_unless_present_any = ["headers", "conditions"])]
    module: Option<String>,
}

/// Prints answers to conditions, or puts the types of a module, or the answer about headers, into the cache and prints the
/// directory.
pub fn main(args: &Args) -> Result<ExitCode> {
    let target = args.target.find_quietly(KernelParts::Headers)?;
    if let Some(directory) = &args.conditions {
        print!("{}", answers_for_cargo(&directory.join("Cargo.toml"), &target)?);
        return Ok(ExitCode::SUCCESS);
    }
    let directory = match &args.module {
        Some(module) => btf::module_directory(&target, module)?,
        None => {
            let text = io::read_to_string(io::stdin()).map_err(Error::io("read", "stdin"))?;
            let request = read_request(&text).ok_or_else(|| Error::Request {
                message: "the request of `kernel_types!` can't be read".into(),
                help: "install the cargo-klp that belongs to the patch's klp-runtime".into(),
            })?;
            headers::answer(&request, &target.kernel)?
        }
    };
    println!("{}", directory.display());
    Ok(ExitCode::SUCCESS)
}

/// What the build script of a crate says to cargo: the conditions that hold, and those that may be asked; to
/// `kernel_types!`, the same and the kernel whose types are meant.
fn answers_for_cargo(manifest_path: &Path, target: &Target) -> Result<String> {
    let krate = crate_of(manifest_path, CargoFlags::of_environment())?;
    let conditions = conditions(&krate.package, &krate.libraries)?;
    let answers = answers(&conditions, target, &Silent)?;
    let kernel = &target.kernel;
    // What changes with the kernel of a directory.
    let of_kernel = ["include/config/auto.conf", "Module.symvers"].map(|file| kernel.kdir.join(file));
    let of_kernel: Vec<PathBuf> = of_kernel.into_iter().chain(kernel.packed_image()).collect();
    let files = conditions.files().iter().chain(of_kernel.iter().filter(|file| file.exists()));
    let types = btf::file(kernel)?.unwrap_or_default();
    let command = btf::command(target)?;
    let variables = [
        (env::CONDITIONS, answers.for_macros()),
        (env::BTF, types.to_string_lossy().into_owned()),
        (env::TYPES, command.to_string_lossy().into_owned()),
    ];
    let lines = (files.map(|file| format!("rerun-if-changed={}", file.display())))
        .chain(answers.expected().map(|condition| format!("rustc-check-cfg={condition}")))
        .chain(answers.holding().map(|condition| format!("rustc-cfg={condition}")))
        .chain(variables.map(|(name, value)| format!("rustc-env={name}={value}")));
    Ok(lines.map(|line| format!("cargo::{line}\n")).collect())
}
