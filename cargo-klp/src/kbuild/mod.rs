//! A patch crate to a module, through the target kernel's Kbuild.
//!
//! The patch is built in a folder of its own under `target/klp`, with a Kbuild of the same three
//! lines that `cargo klp new` writes, so that plain `make` and this command do the same steps.

mod compile;
pub mod finish;
mod flags;
mod fresh;
mod glue_header;
mod hook;
mod linked;
pub mod make;
pub mod object;
pub mod objtool;
pub mod rules;
mod sysroot;
pub mod workspace;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cargo_metadata::{Metadata, Package};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::host::tools::find_program;
use crate::kernel::{TESTED, Target};
use crate::patch::inspect;
use crate::patch::manifest::Manifest;
use crate::patch::tables::check_tables;
pub(crate) use compile::manifest_for;
use workspace::{Crate, PackageQuery, metadata, select_packages};

/// A module that was built.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    /// The package.
    pub package: String,
    /// The module's name, as the kernel has it.
    pub module: String,
    /// The module.
    pub ko: PathBuf,
    /// The release that it loads on.
    pub release: String,
    /// What it leaves as it was, though it seems to change it.
    pub warnings: Vec<String>,
    /// What the macros emitted for it.
    pub manifest: Manifest,
}

/// Builds the chosen patches for a kernel.
///
/// For the `cargo klp` program only: Kbuild calls the running program back for the Rust half. Other
/// programs run `cargo klp build --message-format json`.
pub(crate) fn build(packages: &PackageQuery, target: &Target, reporter: &dyn Reporter) -> Result<Vec<Built>> {
    let kernel = &target.kernel;
    for (program, package) in [("make", "make"), ("ld", "binutils"), ("gcc", "gcc")] {
        if find_program(program).is_none() {
            return Err(Error::Missing {
                what: format!("the program `{program}` (Debian package {package})"),
                needed_for: "the target kernel's Kbuild".into(),
            });
        }
    }
    if !kernel.is_tested() {
        let tested = TESTED.join(" and ");
        reporter
            .warning(&format!("klp is tested on {tested}, and nobody has tried it on {}", kernel.release));
    }
    let metadata = metadata(packages.manifest_path.as_deref())?;
    // Also made where Kbuild needs it; here, what is missing for it is an error of its own.
    sysroot::sysroot(&flags::rustflags(kernel)?, reporter)?;
    select_packages(&metadata, packages)?
        .into_iter()
        .map(|package| build_one(&metadata, package, target, reporter))
        .collect()
}

fn build_one(
    metadata: &Metadata,
    package: &Package,
    target: &Target,
    reporter: &dyn Reporter,
) -> Result<Built> {
    let kernel = &target.kernel;
    let module = package.name.replace('-', "_");
    let crate_dir = package.manifest_path.parent().expect("a Cargo.toml stands in a folder");
    let dir = PathBuf::from(metadata.target_directory.join("klp")).join(&kernel.release).join(&module);
    for (path, remedy) in [
        (crate_dir.as_std_path(), "move the crate"),
        (&dir, "set CARGO_TARGET_DIR"),
        (&kernel.kdir, "move the kernel's headers"),
    ] {
        if path.to_string_lossy().contains(char::is_whitespace) {
            return Err(Error::Request {
                message: format!(
                    "`{}` has white space in its path, which Kbuild can't handle",
                    path.display()
                ),
                help: format!("{remedy} to a path without"),
            });
        }
    }
    fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    let klp_mk = rules::klp_mk(metadata, package)?;
    rules::write(&dir, &module, &klp_mk)?;

    let krate =
        Crate { package: package.clone(), target_directory: metadata.target_directory.clone().into() };
    let kbuild = klp_mk.parent().expect("a file is in a folder");
    let build = fresh::Build { krate: &krate, target, dir: &dir, module: &module, kbuild };
    let is_fresh = build.is_fresh(reporter)?;
    if !is_fresh {
        build.forget()?;
        let started = SystemTime::now();
        if let Err(error) = make_one(package, target, &dir, reporter) {
            build.discard(&error)?;
            return Err(error);
        }
        build.record(started)?;
    }
    let warnings = object::warnings(&dir.join(format!("{module}_rust.o")))?;
    if is_fresh {
        warnings.iter().for_each(|warning| reporter.warning(warning));
    }
    let ko = dir.join(format!("{module}.ko"));
    let manifest = check(&ko, &module, &kernel.release)?;
    let (package, release) = (package.name.to_string(), kernel.release.clone());
    Ok(Built { package, module, ko, release, warnings, manifest })
}

/// Has Kbuild make a module.
fn make_one(package: &Package, target: &Target, dir: &Path, reporter: &dyn Reporter) -> Result<()> {
    let crate_dir = package.manifest_path.parent().expect("a Cargo.toml stands in a folder");
    let what = format!("{} for {}", package.name, target.kernel.release);
    let _progress = reporter.progress("Building", &what);
    make::run(&package.name, target, dir, crate_dir.as_std_path(), reporter)
}

/// Looks at the finished module: every table entry is there, and the kernel will know it as a livepatch.
fn check(ko: &Path, module: &str, release: &str) -> Result<Manifest> {
    let data = fs::read(ko).map_err(Error::io("read", ko))?;
    let file = ::object::File::parse(&*data).map_err(Error::elf("read the finished module"))?;
    let manifest = Manifest::read(&file)?;
    check_tables(ko, &file, &manifest)?;
    let enabled = manifest.patch.as_ref().is_none_or(|patch| patch.enable);
    inspect::modinfo::check(ko, &file, module, release, enabled)?;
    finish::verify(ko, &data)?;
    Ok(manifest)
}
