//! `cargo klp doctor`: what this machine has and lacks for building and running patches.

mod checks;
mod fix;
mod help;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use super::args::MessageFormat;
use crate::error::Result;
use crate::host::distribution::Distribution;
use crate::kbuild::flags::rustflags;
use crate::kernel::{Arch, DEFAULT_SERIES, Kernel, btf};
use checks::{Check, check};
use fix::fix;
use help::complaint;

/// Arguments of `cargo klp doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp doctor                              list what is here and what is missing
  cargo klp doctor --fix                        install what is missing, with a 6.12 kernel
  cargo klp doctor --fix --kernel 6.1           with the newest 6.1 kernel
  cargo klp doctor --fix --kernel 6.12.117+deb12-amd64
  cargo klp doctor --fix --kernel 7.3           with one of a later Debian, and what builds for it
  cargo klp doctor --kdir ~/linux               can patches be built for a kernel of one's own?
  cargo klp doctor --fix --debug-info           with debug information (1 GB)
  cargo klp doctor --fix --source               with the source, for `new --diff` (150 MB)
  cargo klp doctor --fix --kernel 7.3 --kernel-crate   with its own Rust crate

On Debian, tools are installed with apt-get, which needs root. Kernels and the Rust sources go into the cache
(KLP_CACHE, or ~/.cache/klp), as do the compiler and the libraries with which an older Debian builds for the kernels of a
later one: /boot, /lib/modules and the toolchain are not changed. On other distributions nothing is installed: the last
line says with which command of the distribution to get what is missing.

The exit code is 3 if something is missing.")]
pub struct Args {
    /// Install what is missing.
    #[arg(long)]
    pub fix: bool,

    /// A kernel to look for: a release, or a series such as 6.12; may be given several times.
    ///
    /// By default 6.12 on Debian, and the running kernel elsewhere.
    #[arg(long, value_name = "RELEASE")]
    pub kernel: Vec<String>,

    /// The build directory of a kernel to look for, instead of a release: what /lib/modules/RELEASE/build points to.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kernel", "debug_info", "source", "kernel_crate"])]
    pub kdir: Option<PathBuf>,

    /// Also look for the kernels' debug information, which tells where functions were inlined.
    ///
    /// --fix downloads it from Debian: 1 GB for each kernel, of which 60 MB are kept.
    #[arg(long)]
    pub debug_info: bool,

    /// Also look for the kernels' source, which `cargo klp new --diff` reads.
    ///
    /// --fix downloads it from Debian: 150 MB for each kernel, 1.5 GB unpacked.
    #[arg(long)]
    pub source: bool,

    /// Also look for the `kernel` crate of the kernels, which patches with `kernel-crate = true` use.
    ///
    /// --fix makes it from the kernel's source, with the rustc that compiled the kernel: it downloads 450 MB, keeps 1.5 GB,
    /// and takes some minutes.
    #[arg(long)]
    pub kernel_crate: bool,

    /// The format of the table.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub message_format: MessageFormat,
}

/// Something that a command needs on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Build patches.
    Build,
    /// Boot kernels.
    Run,
    /// Boot kernels of an architecture, if it is not this machine's.
    RunFor(&'static Arch),
    /// Build for and boot a kernel: a release, or a series such as 6.12.
    Kernel(String),
    /// Build for and boot the kernel of a build directory.
    BuildDir(PathBuf),
    /// Know where the functions of a kernel are inlined.
    DebugInfo(String),
    /// Have the source of a kernel.
    Source(String),
    /// Have the `kernel` crate of a kernel.
    KernelCrate(String),
    /// Call a program: its name, the package that has it, and the reason.
    Program(&'static str, &'static str, &'static str),
    /// Read a file: its path, the package that has it, and the reason.
    File(&'static str, &'static str, &'static str),
}

/// Runs the command.
pub fn main(args: &Args) -> Result<ExitCode> {
    let kernels = match &*args.kernel {
        _ if args.kdir.is_some() => Vec::new(),
        [] => vec![default_kernel(&Distribution::of_this_machine())],
        given => given.to_vec(),
    };
    let mut requirements = vec![Requirement::Build, Requirement::Run];
    requirements.extend(kernels.iter().cloned().map(Requirement::Kernel));
    if let Some(kdir) = &args.kdir {
        // What stands in the way of any patch is no matter of packages.
        rustflags(&Kernel::from_kdir(kdir)?)?;
        requirements.push(Requirement::BuildDir(kdir.clone()));
    }
    if args.debug_info {
        requirements.extend(kernels.iter().cloned().map(Requirement::DebugInfo));
    }
    if args.source {
        requirements.extend(kernels.iter().cloned().map(Requirement::Source));
    }
    if args.kernel_crate {
        requirements.extend(kernels.iter().cloned().map(Requirement::KernelCrate));
    }
    let fixed = if args.fix { ensure(&requirements) } else { Ok(()) };
    let checks = check(&requirements);
    match args.message_format {
        MessageFormat::Human => table::print(&checks),
        MessageFormat::Json => table::print_json(&checks),
    }
    fixed?;
    btf::prepare()?;
    complaint(&checks, &Distribution::of_this_machine()).map_or(Ok(ExitCode::SUCCESS), Err)
}

/// The kernel to look for where none is named: klp fetches that of Debian, and others belong to their machine.
fn default_kernel(distribution: &Distribution) -> String {
    if distribution.is_debian() {
        return DEFAULT_SERIES.into();
    }
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Makes sure that the machine meets the requirements, and installs what it lacks.
pub fn ensure(requirements: &[Requirement]) -> Result<()> {
    // A kernel that was just downloaded may ask for a compiler that is not installed yet.
    for _ in 0..2 {
        let checks = check(requirements);
        if checks.iter().all(Check::ok) {
            return btf::prepare();
        }
        fix(&checks)?;
    }
    complaint(&check(requirements), &Distribution::of_this_machine()).map_or_else(btf::prepare, Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_another_distribution_is_asked_for_its_own_kernel() {
        assert_eq!(default_kernel(&Distribution::of("ID=debian\n")), DEFAULT_SERIES);
        let running = rustix::system::uname().release().to_string_lossy().into_owned();
        assert_eq!(default_kernel(&Distribution::of("ID=fedora\n")), running);
    }
}
