//! `cargo xtask operate`: patches on a machine that is started again and again, and brought down: a Debian 12 guest with
//! systemd, and `klp` with its units; and a machine that enforces signatures.

mod guest;
mod lint;
mod signatures;
mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::commands::ui::{self, Terminal};
use cargo_klp::error::{Error, Result};
use cargo_klp::host::cache::Lock;
use cargo_klp::host::package::Format;
use cargo_klp::host::tools::run_tool;
use cargo_klp::kernel::{DEFAULT_SERIES, KernelParts, KernelQuery};

use crate::command::{build_patches, cargo, root};
use crate::package_tools;
use guest::Machine;
use lint::Checkers;

/// Arguments of `cargo xtask operate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Needs root, to make the guest's disk.")]
pub(crate) struct Args {
    /// The kernel: a release, or a series such as 6.12.
    #[arg(long, value_name = "RELEASE", default_value = DEFAULT_SERIES)]
    kernel: String,

    /// Take the disk that the last run has made, as it was at its beginning.
    #[arg(long)]
    same_disk: bool,

    /// Try signatures only: two boots of a guest without systemd.
    #[arg(long)]
    signatures_only: bool,
}

/// The revisions of one series; the third one panics, and a callback of the last one oopses.
const PATCHES: [&str; 4] = ["fix-1", "fix-2", "fix-3", "fix-4"];

/// Another patch; the transition that enables it waits for a task.
const SLOW: &str = "slow";

/// A kernel that does not run: its patch is in the same package.
fn other_kernel(kernel: &str) -> &'static str {
    if kernel == "6.1" || kernel.starts_with("6.1.") { DEFAULT_SERIES } else { "6.1" }
}

const MAINTAINER: &str = "The klp authors <klp@example.org>";

/// What it needs besides what builds and boots patches.
pub(crate) const REQUIREMENTS: [Requirement; 5] = [
    Requirement::Program("mmdebstrap", "mmdebstrap", "makes a Debian"),
    Requirement::Program("mke2fs", "e2fsprogs", "makes the disk of a guest"),
    Requirement::Program("openssl", "openssl", "makes keys that sign modules"),
    Requirement::Program("sign-efi-sig-list", "efitools", "enrols certificates in UEFI"),
    Requirement::File(signatures::CODE, "ovmf", "UEFI for a guest"),
];

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let mut requirements =
        vec![Requirement::Build, Requirement::Run, Requirement::Kernel(args.kernel.clone())];
    requirements.push(Requirement::Kernel(other_kernel(&args.kernel).into()));
    requirements.extend(REQUIREMENTS);
    doctor::ensure(&requirements)?;
    let passed = match args.signatures_only {
        true => {
            let (directory, _lock) = own_directory()?;
            try_signatures(&args.kernel, &directory)?
        }
        false => run(&args.kernel, args.same_disk)?,
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where the files of the guests are, for one run at a time.
fn own_directory() -> Result<(PathBuf, Lock)> {
    let directory = root().join("target/operate");
    fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
    let lock = Lock::told(&directory.join("disk"), &Terminal)?;
    Ok((directory, lock))
}

/// Boots a kernel that enforces signatures; whether all was as it must be.
fn try_signatures(kernel: &str, directory: &Path) -> Result<bool> {
    let kernel = KernelQuery::Release(kernel.into()).find(KernelParts::Image)?;
    let Some(patches) = build_patches(&PATCHES[..1], &kernel.release, &[])? else { return Ok(false) };
    signatures::run(&kernel, &patches[0], &package_tools::static_klp()?, directory)
}

/// Runs all boots on a kernel; whether all was as it must be.
pub(crate) fn run(kernel: &str, same_disk: bool) -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::Request {
            message: "`cargo xtask operate` must run as root: it makes the guest's files, with their owners"
                .into(),
            help: "run it as root, or with sudo".into(),
        });
    }
    let (directory, _lock) = own_directory()?;
    let signed = try_signatures(kernel, &directory)?;
    let kernel = KernelQuery::Release(kernel.into()).find(KernelParts::Image)?;
    let Some(patches) = build_patches(&PATCHES, &kernel.release, &[])? else { return Ok(false) };
    let Some(slow) = build_slow(&kernel.release)? else { return Ok(false) };
    let sources = guest::sources(&directory)?;
    let image = directory.join("base.ext4");
    if !same_disk || !image.exists() {
        let _spinner = ui::spinner("Making", "a Debian 12 with systemd");
        guest::make_disk(&image, &sources, &directory)?;
    }
    let disk = directory.join("disk.ext4");
    run_tool(std::process::Command::new("cp").arg("--sparse=always").arg(&image).arg(&disk))?;

    let mut files =
        vec![("klp-tools.deb".into(), package_tools::package(MAINTAINER, Format::Deb, &directory)?)];
    let mut rpms = vec![package_tools::package(MAINTAINER, Format::Rpm, &directory)?];
    for (package, module) in PATCHES.iter().zip(patches) {
        let name = package.replace('-', "_");
        files.push((format!("{name}.deb"), package_patch(&["--format", "deb"], &[&module], &directory)?));
        rpms.push(package_patch(&["--format", "rpm"], &[&module], &directory)?);
        files.push((format!("{name}.ko"), module));
    }
    files.push(("slow_1.deb".into(), package_patch(&[], &slow.each_ref(), &directory)?));
    files.push(("slow_2.deb".into(), package_patch(&["--package-version", "2"], &[&slow[1]], &directory)?));
    let debs: Vec<_> =
        files.iter().filter(|(name, _)| name.ends_with(".deb")).map(|(_, file)| file).collect();
    let linted = Checkers::new(&sources, &directory)?.pass(&debs, &rpms.iter().collect::<Vec<_>>())?;
    for (name, rpm) in ["klp-tools.rpm", "fix_1.rpm", "fix_2.rpm"].into_iter().zip(rpms) {
        files.push((name.into(), rpm));
    }
    files.push(("hold.sh".into(), root().join("xtask/src/operate/hold.sh")));
    let machine = Machine { kernel: &kernel, disk, directory, files };
    let passed = story::tell(&machine)?;
    fs::remove_file(&machine.disk).map_err(Error::io("remove", &machine.disk))?;
    Ok(signed && linted && passed)
}

/// The slow patch for the kernel and for another one.
fn build_slow(kernel: &str) -> Result<Option<[PathBuf; 2]>> {
    let Some(here) = build_patches(&[SLOW], kernel, &[])? else { return Ok(None) };
    let Some(elsewhere) = build_patches(&[SLOW], other_kernel(kernel), &[])? else { return Ok(None) };
    Ok(Some([here[0].clone(), elsewhere[0].clone()]))
}

/// The package of modules, as a user makes it.
fn package_patch(options: &[&str], modules: &[&PathBuf], directory: &Path) -> Result<PathBuf> {
    let mut command = cargo(&["run", "--quiet", "--package", "cargo-klp", "--", "klp", "package"]);
    command.args(options).args(["--maintainer", MAINTAINER, "--output"]).arg(directory).args(modules);
    let output = run_tool(&mut command)?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
