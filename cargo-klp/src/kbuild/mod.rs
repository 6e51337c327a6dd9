//! Builds a module from a patch crate, through the target kernel's Kbuild.
//!
//! Each patch is built in a directory of its own under `target/klp`, with a Kbuild of the same three
//! lines that `cargo klp new` writes, so that plain `make` and this command take the same steps.

mod base;
mod c_header;
pub mod cargo_flags;
mod compile;
pub(crate) mod conditions;
mod directory;
pub mod finish;
pub(crate) mod flags;
mod frames;
mod glue_header;
pub mod headers;
mod hook;
mod jobs;
mod kernel_hint;
pub mod linked;
pub mod make;
mod names;
pub mod object;
pub mod objtool;
mod options;
pub mod paths;
mod places;
mod record;
mod relocations;
pub mod rules;
mod std_hint;
pub mod steps;
pub mod symbols;
mod sysroot;
mod traced;
mod turn;
mod undefined;
pub mod workspace;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cargo_metadata::{Metadata, Package};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::host::cache::Lock;
use crate::host::disk;
use crate::host::report::{Reporter, Together};
use crate::host::tools::{find_program, version_of};
use crate::kernel::{Kernel, TESTED, Target};
use crate::patch::inspect;
use crate::patch::manifest::Manifest;
use crate::patch::tables::check_tables;
use cargo_flags::CargoFlags;
use compile::library_digest;
pub(crate) use compile::manifest_for;
pub(crate) use directory::clean;
use directory::{CargoDirectory, create_in_target};
use record::{Change, Place};
use workspace::{Crate, PackageQuery, libraries, metadata, select_packages};

/// A module that was built.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    /// The package.
    pub package: String,
    /// The module's name in the kernel.
    pub module: String,
    /// The module's file.
    pub ko: PathBuf,
    /// The kernel release that it is for.
    pub release: String,
    /// Warnings: places where it leaves old code in use.
    pub warnings: Vec<String>,
    /// The manifest that the macros emitted for it.
    pub manifest: Manifest,
}

/// Builds the chosen patches for a kernel, at most `jobs` at the same time, and copies the modules to `artifacts`, if
/// given. Reports on one of several patches are shown together when it is built. One that fails does not keep the others
/// from being built.
///
/// For the `cargo klp` program only: Kbuild calls the running program back for the Rust half. Other
/// programs run `cargo klp build --message-format json`.
pub(crate) fn build(
    packages: &PackageQuery,
    target: &Target,
    jobs: usize,
    artifacts: Option<&Path>,
    reporter: &dyn Reporter,
) -> Result<Vec<Built>> {
    let kernel = &target.kernel;
    let make = ("make".to_owned(), "make".to_owned());
    for (program, package) in kernel.programs().into_iter().chain([make]) {
        if find_program(&program).is_none() {
            return Err(Error::Missing {
                what: format!("the program `{program}` (Debian package {package})"),
                needed_for: "the target kernel's Kbuild".into(),
            });
        }
    }
    if !kernel.is_tested() {
        let tested = TESTED.join(", ");
        reporter
            .warning(&format!("klp is untested on {}: it is tested on Debian's {tested}", kernel.release));
    }
    let warnings = [other_compiler(kernel, version_of(&kernel.gcc())), options::makefiles::warning(kernel)];
    warnings.iter().flatten().for_each(|warning| reporter.warning(warning));
    let flags = &packages.flags;
    let metadata = metadata(packages.manifest_path.as_deref(), flags)?;
    // Kbuild's step would make it too; made here, a missing part is an error of its own.
    sysroot::sysroot(kernel.arch().rust.target, &flags::rustflags(kernel)?, reporter)?;
    let packages = select_packages(&metadata, packages)?;
    let said = Mutex::new(BTreeSet::new());
    let one = |package: &Package, reporter: &dyn Reporter| {
        let artifact = artifacts.map(|directory| Artifact::of(package, directory)).transpose()?;
        let built = build_one(&metadata, package, flags, target, &said, reporter)?;
        match artifact {
            Some(artifact) => artifact.make(built),
            None => Ok(built),
        }
    };
    let results = match jobs.min(packages.len()) {
        1 => packages.iter().map(|package| one(package, reporter)).collect(),
        _ => jobs::run(&packages, jobs, |package| one(package, &Together::new(reporter))),
    };
    let names = packages.iter().map(|package| package.name.to_string());
    let (built, outcome) = Error::separate(names.zip(results));
    outcome.map(|()| built)
}

/// What to say where Kbuild calls a `gcc` of another version than that which built the kernel.
fn other_compiler(kernel: &Kernel, here: Option<u32>) -> Option<String> {
    // Debian's headers name the compiler, and Kbuild calls that one.
    if kernel.compiler().is_some() {
        return None;
    }
    let (built_with, here) = (kernel.gcc_version()?, here?);
    (built_with != here).then(|| {
        format!(
            "kernel {} was built with gcc {built_with}, and `{}` is gcc {here}: it may lack flags that the kernel's \
             Kbuild passes, or ignore what they protect",
            kernel.release,
            kernel.gcc()
        )
    })
}

/// A copy of a module in a directory that the user chose.
struct Artifact(PathBuf);

impl Artifact {
    /// The copy of a patch's module. An older one is removed: if the build fails, there is none.
    fn of(package: &Package, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        let path = directory.join(format!("{}.ko", names::module_of(&package.name)));
        record::remove(&path)?;
        Ok(Self(path))
    }

    /// Copies a module that was built.
    fn make(self, built: Built) -> Result<Built> {
        let Self(path) = self;
        let partial = path.with_extension("ko.partial");
        fs::copy(&built.ko, &partial).map_err(Error::io("write", &partial))?;
        fs::rename(&partial, &path).map_err(Error::io("write", &path))?;
        Ok(Built { ko: path, ..built })
    }
}

fn build_one(
    metadata: &Metadata,
    package: &Package,
    flags: &CargoFlags,
    target: &Target,
    said: &Mutex<BTreeSet<String>>,
    reporter: &dyn Reporter,
) -> Result<Built> {
    let kernel = &target.kernel;
    names::check(metadata, package, kernel)?;
    let module = names::module_of(&package.name);
    let crate_dir = package.manifest_path.parent().expect("a Cargo.toml is in a directory");
    let dir = PathBuf::from(metadata.target_directory.join("klp")).join(&kernel.release).join(&module);
    let klp_mk = rules::klp_mk(metadata, package)?;
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    for (path, remedy) in [
        (crate_dir.as_std_path(), "move the crate"),
        (&dir, "set CARGO_TARGET_DIR"),
        (&kernel.kdir, "move the kernel's headers"),
        (&klp_mk, "move klp-runtime"),
        (&this, "install cargo-klp"),
    ] {
        paths::check(path, remedy)?;
    }
    target.modules.iter().try_for_each(|module| paths::check(module, "move the module"))?;
    target.debug_info.iter().try_for_each(|file| paths::check(file, "move the debug information"))?;
    if let Some(signing) = &target.signing {
        let files = signing.file().into_iter().chain([signing.certificate()]);
        files.into_iter().try_for_each(|file| paths::check(file, "move the key and the certificate"))?;
    }
    create_in_target(&dir)?;
    let _lock = Lock::told(&dir, reporter)?;
    rules::write(&dir, &module, &klp_mk)?;

    let krate = Crate {
        package: package.clone(),
        libraries: libraries(package, metadata),
        directory: CargoDirectory::of(metadata),
        flags: flags.clone(),
    };
    let ko = dir.join(format!("{module}.ko"));
    let place = Place::of(&ko);
    let is_fresh = match place.library_if_unchanged(&krate, target) {
        Some(library) => library == place.or_discard(library_digest(&krate, target, reporter))?,
        None => false,
    };
    let manifest = match is_fresh {
        true => check(&ko, &module, &kernel.release)?,
        false => make_one(&krate, target, &ko, reporter)?,
    };
    let object = dir.join(format!("{module}_rust.o"));
    let warnings = object::warnings(&object)?;
    if is_fresh {
        warnings.iter().for_each(|warning| reporter.warning_about(&package.name, warning));
    } else {
        // Most are the same for all patches.
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = object::notes(&object)?.into_iter().filter(|note| said.insert(note.clone()));
        notes.for_each(|note| reporter.note(&note));
    }
    let (package, release) = (package.name.to_string(), kernel.release.clone());
    Ok(Built { package, module, ko, release, warnings, manifest })
}

/// Has Kbuild make a module. No module exists meanwhile, or after a failure.
fn make_one(krate: &Crate, target: &Target, ko: &Path, reporter: &dyn Reporter) -> Result<Manifest> {
    let package = &krate.package;
    let crate_dir = package.manifest_path.parent().expect("a Cargo.toml is in a directory").as_std_path();
    let (release, module) = (&target.kernel.release, names::module_of(&package.name));
    let what = format!("{} for {release}", package.name);
    let progress = reporter.progress("Building", &what);
    // The module's name until the output of all tools is known.
    let unjudged = ko.with_extension("ko.unjudged");
    record::remove(ko)?;
    let made = make::run(krate, target, crate_dir, &unjudged, reporter).and_then(|()| {
        let manifest = check(&unjudged, &module, release)?;
        fs::rename(&unjudged, ko).map_err(Error::io("write", ko))?;
        Ok(manifest)
    });
    drop(progress);
    if made.is_err() {
        if let Some(why) = disk::shortage(ko.parent().expect("a module is in a directory")) {
            reporter.note(&why);
        }
        record::remove(&unjudged)?;
        // make would not repeat a step after which a tool warned.
        if !matches!(made, Err(Error::NotBuilt { .. } | Error::Compile { .. })) {
            Place::of(ko).discard(Change::Anything)?;
        }
    }
    made
}

/// Writes a file that does not have these contents yet: what make makes of it is then not made again.
fn write_if_changed(path: &Path, contents: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == contents) {
        return Ok(());
    }
    fs::write(path, contents).map_err(Error::io("write", path))
}

/// Checks the finished module: it has every table entry, and the kernel will take it for a livepatch.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_gcc_than_the_kernels_is_said() {
        let kernel = Kernel::for_test("CONFIG_CC_IS_GCC=y\nCONFIG_GCC_VERSION=140201\n");
        assert_eq!(other_compiler(&kernel, Some(14)), None);
        let warning = other_compiler(&kernel, Some(12)).unwrap();
        assert!(warning.contains("was built with gcc 14, and `gcc` is gcc 12"), "{warning}");
        assert_eq!(other_compiler(&kernel, None), None);
        let clang = Kernel::for_test("CONFIG_CC_IS_CLANG=y\nCONFIG_GCC_VERSION=0\n");
        assert_eq!(other_compiler(&clang, Some(12)), None);
    }
}
