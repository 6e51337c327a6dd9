//! What a patch crate is compiled on, by which rustc: klp's own build of `core`, or the `kernel` crate of the target.
//!
//! A crate chooses in its Cargo.toml, so that all commands and plain make agree:
//!
//! ```toml
//! [package.metadata.klp]
//! kernel-crate = true
//! ```

use std::path::Path;
use std::process::Command;

use cargo_metadata::Package;
use cargo_metadata::camino::Utf8Path;
use klp_format::env;

use super::flags;
use super::sysroot::sysroot;
use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::kernel::Kernel;
use crate::kernel::kernel_crate::{KEY, KernelCrate};

/// What a crate is compiled on.
#[derive(Clone, Debug)]
pub(super) enum Base {
    /// `core` alone, by the rustc in `PATH`.
    Core,
    /// The target's `kernel` crate, by the kernel's own rustc.
    Kernel(KernelCrate),
}

/// Most of the runtime is the engine, which runs only when patches come and go. The parts that a patch's own code calls
/// all the time are generic or inlined, so they are compiled with the patch's options.
const RUNTIME: &str = "profile.release.package.klp-runtime.opt-level='z'";

/// The settings of the profile that are the same for all kinds of libraries.
const PROFILE: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "none"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
];

impl Base {
    /// That of a package for a kernel.
    ///
    /// # Errors
    ///
    /// The package asks for the `kernel` crate, and the kernel has none, or it was not made; or it asks in a way that
    /// can't be read.
    pub(super) fn of(package: &Package, kernel: &Kernel) -> Result<Self> {
        if wants_kernel_crate(package)? { KernelCrate::of(kernel).map(Self::Kernel) } else { Ok(Self::Core) }
    }

    /// Holds the flags of the kernel's Kbuild to those that the crate is compiled with.
    pub(super) fn check_kbuild(&self, kernel: &Kernel, rustflags: &[String], kbuild: &str) -> Result<()> {
        match self {
            Self::Core => flags::check_kbuild(kernel, rustflags, kbuild),
            Self::Kernel(made) => made.check_kbuild(kbuild),
        }
    }

    /// The libraries that cargo makes, as rustc calls them, and what their files end in. Without `core` in it, a
    /// library can't have everything: each crate is one.
    pub(super) fn kind(&self, wanted: (&'static str, &'static str)) -> (&'static str, &'static str) {
        match self {
            Self::Core => wanted,
            Self::Kernel(_) => ("--crate-type=rlib", "rlib"),
        }
    }

    /// Whether a library in cargo's directory is one of the crates that a module is made of, besides the patch crate.
    pub(super) fn is_part(&self, library: &Path, directory: &Path) -> bool {
        match self {
            Self::Core => false,
            // cargo names the directory after the target's description.
            Self::Kernel(made) => {
                made.target().file_stem().is_some_and(|target| library.starts_with(directory.join(target)))
            }
        }
    }

    /// Tells cargo of it, for a package.
    pub(super) fn configure(
        &self,
        command: &mut Command,
        package: &Package,
        kernel: &Kernel,
        rustflags: &[String],
        reporter: &dyn Reporter,
    ) -> Result<()> {
        command.envs(PROFILE).args(["--config", RUNTIME]);
        match self {
            Self::Core => on_core(command, kernel.arch().rust.target, rustflags, reporter),
            Self::Kernel(made) => on_kernel(command, package, made),
        }
    }

    /// Arguments of rustc for the patch crate alone, in place of those for a crate on `core`.
    pub(super) fn arguments(&self, on_core: &[&str]) -> Vec<String> {
        match self {
            Self::Core => on_core.iter().map(ToString::to_string).collect(),
            Self::Kernel(made) => {
                let mut arguments = vec!["--cfg=MODULE".to_owned()];
                arguments.push(format!("@{}", made.configuration().display()));
                arguments.extend(made.crates().map(|name| format!("--extern={name}")));
                arguments
            }
        }
    }
}

/// Whether a package asks for the `kernel` crate.
fn wants_kernel_crate(package: &Package) -> Result<bool> {
    let Some(wanted) = package.metadata.get("klp").and_then(|klp| klp.get(KEY)) else { return Ok(false) };
    wanted.as_bool().ok_or_else(|| Error::Request {
        message: format!("`{KEY} = {wanted}` of {} is neither true nor false", package.manifest_path),
        help: format!("write `{KEY} = true` in [package.metadata.klp], or leave it out"),
    })
}

fn on_core(command: &mut Command, target: &str, rustflags: &[String], reporter: &dyn Reporter) -> Result<()> {
    let mut encoded =
        vec!["--sysroot".to_owned(), sysroot(target, rustflags, reporter)?.to_string_lossy().into_owned()];
    encoded.extend_from_slice(rustflags);
    // S2 asks for the order of the source in the tables. By default rustc sorts by symbol.
    encoded.push("-Zcodegen-source-order".into());
    encoded.extend(COMMON.map(str::to_owned));
    command
        // Keeps paths of this machine out of the library.
        .args(["-Ztrim-paths", "--target", target])
        // The module keeps a table for the kernel's unwinder. Where functions have a frame pointer it needs no entry
        // for each register that they save, which makes the engine a tenth smaller.
        .args(["--config", "profile.release.package.klp-runtime.rustflags=['-Cforce-frame-pointers=yes']"])
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_TRIM_PATHS", "macro")
        .env("CARGO_ENCODED_RUSTFLAGS", encoded.join("\x1f"));
    Ok(())
}

/// Flags for all crates of a patch.
const COMMON: [&str; 2] = [
    "-Zemit-stack-sizes",
    // For the attribute that leaves room for ftrace.
    "-Zcrate-attr=feature(patchable_function_entry)",
];

/// The kernel's rustc may be older than the one that this workspace asks for; it lacks what cargo needs to trim paths.
fn on_kernel(command: &mut Command, package: &Package, made: &KernelCrate) -> Result<()> {
    let mut encoded = vec!["--sysroot=/dev/null".to_owned(), "-L".into()];
    encoded.push(made.objtree().join("rust").display().to_string());
    encoded.extend(made.flags()?);
    // Only what is used goes into the module.
    encoded.push("-Zfunction-sections=y".into());
    encoded.push("--cfg=klp_kernel_crate".into());
    encoded.extend(COMMON.map(str::to_owned));
    encoded.extend(remapped(package));
    let (mut runtime, mut macros) = (vec!["-Cforce-frame-pointers=yes", "-Awarnings"], vec!["-Awarnings"]);
    if made.is_before(1, 88) {
        runtime.push("-Zcrate-attr=feature(let_chains)");
        // Places in the source are an unstable feature of another form.
        macros.extend(["--cfg=klp_old_spans", "-Zcrate-attr=feature(proc_macro_span)"]);
    } else {
        // S2: an older one does so by default.
        encoded.push("-Zcodegen-source-order".into());
    }
    for (package, flags) in [("klp-runtime", runtime), ("klp-macros", macros)] {
        command.args(["--config", &format!("profile.release.package.{package}.rustflags={flags:?}")]);
    }
    command
        .args(["-Zjson-target-spec", "--ignore-rust-version", "--target"])
        .arg(made.target())
        .env("RUSTC", made.rustc())
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_ENCODED_RUSTFLAGS", encoded.join("\x1f"))
        // What macros of the kernel's crates read.
        .env("OBJTREE", made.objtree())
        .env(env::KERNEL_CRATE, made.version());
    Ok(())
}

/// Flags that keep paths of this machine out of a module: that of the package, and that of the runtime.
fn remapped(package: &Package) -> impl Iterator<Item = String> {
    let own = package.manifest_path.parent();
    let runtime = package.dependencies.iter().find(|dependency| dependency.name == "klp-runtime");
    let runtime = runtime.and_then(|dependency| dependency.path.as_deref());
    let remap = |path: Option<&Utf8Path>, to: &str| Some(format!("--remap-path-prefix={}={to}", path?));
    [remap(runtime, "klp-runtime"), remap(own, package.name.as_str())].into_iter().flatten()
}
