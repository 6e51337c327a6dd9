//! `cargo xtask package-tools`: `klp` as administrators get it, the package `klp-tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use cargo_klp::commands::args::PackageFormat;
use cargo_klp::error::{Error, Result};
use cargo_klp::host::package::{File, Format, Package, Unit, time};
use cargo_klp::host::tools::run_tool;

use crate::command::{cargo, root};

/// Arguments of `cargo xtask package-tools`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who answers for the package: `Name <address>`.
    #[arg(long, value_name = "NAME")]
    maintainer: String,

    /// The format of the package.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: PackageFormat,

    /// The directory to write to.
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    output: PathBuf,
}

/// Whichever of the two licenses the reader chooses.
const COPYRIGHT: &str =
    concat!(include_str!("../../LICENSE-MIT"), "\nOr, instead, the GNU General Public License, version 2.\n");

/// The units; whether each boot starts them, and whether the installation does. The watch over trials is started before a
/// patch is loaded.
const UNITS: [(&str, bool, bool); 3] =
    [("klp-confirm.path", true, true), ("klp-confirm.service", false, false), ("klp.service", true, false)];

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    println!("{}", package(&args.maintainer, args.format.into(), &args.output)?.display());
    Ok(ExitCode::SUCCESS)
}

/// Makes the package in a directory; its path.
pub(crate) fn package(maintainer: &str, format: Format, directory: &Path) -> Result<PathBuf> {
    let read = |path: &Path| fs::read(path).map_err(Error::io("read", path));
    let file = |path: &str, data| File { path: path.into(), data, is_program: false };
    let program = File { path: "usr/sbin/klp".into(), data: read(&static_klp()?)?, is_program: true };
    let mut files = vec![program];
    let mut units = Vec::new();
    for (name, is_enabled, is_started) in UNITS {
        let data = read(&root().join("klp/systemd").join(name))?;
        units.push(Unit { name, data, is_enabled, is_started });
    }
    files.extend(manual_pages()?);
    let mut completions = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut klp::command(), "klp", &mut completions);
    files.push(file("usr/share/bash-completion/completions/klp", completions));
    let package = Package {
        name: "klp-tools".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        maintainer: maintainer.into(),
        section: "admin",
        summary: "loads, shows and unloads livepatches of the kernel".into(),
        description: include_str!("package_tools/description").into(),
        change: "Built from klp's repository.".into(),
        time: time()?,
        license: "MIT OR GPL-2.0-only".into(),
        copyright: COPYRIGHT.into(),
        files,
        units,
        state: vec!["/var/lib/klp", "/run/klp"],
        ..Package::default()
    };
    package.write(format, directory)
}

/// A page for `klp` and one for each of its commands.
fn manual_pages() -> Result<Vec<File>> {
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let command = klp::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &directory).map_err(Error::io("write", directory.path()))?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).map_err(Error::io("read", directory.path()))? {
        let page = entry.map_err(Error::io("read", directory.path()))?.path();
        let name = page.file_name().expect("an entry has a name").to_string_lossy().replace(".1", ".8");
        let text = fs::read_to_string(&page).map_err(Error::io("read", &page))?;
        // These are commands for administrators.
        let renamed = directory.path().join(&name);
        fs::write(&renamed, text.replacen(" 1 ", " 8 ", 1)).map_err(Error::io("write", &renamed))?;
        run_tool(Command::new("gzip").arg("-9n").arg(&renamed))?;
        let packed = directory.path().join(format!("{name}.gz"));
        let data = fs::read(&packed).map_err(Error::io("read", &packed))?;
        files.push(File { path: format!("usr/share/man/man8/{name}.gz"), data, is_program: false });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// `klp` as one static program.
pub(crate) fn static_klp() -> Result<PathBuf> {
    // Naming the target keeps the flags away from procedural macros.
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let directory = root().join("target");
    let mut command = cargo(&["build", "--quiet", "-p", "klp", "--profile", "tool", "--target", TARGET]);
    command.arg("--target-dir").arg(&directory);
    run_tool(command.env("RUSTFLAGS", "-C target-feature=+crt-static"))?;
    Ok(directory.join(TARGET).join("tool/klp"))
}
