//! `core` for the target kernel: compiled from rust-src once for each set of flags, and cached.
//!
//! It is compiled with rustc directly, as the kernel's own build does. cargo's build-std would
//! resolve all dependencies of the standard library first, which needs the registry.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::host::tools::run_tool;
use crate::host::{cache, debian};

/// Stands in for the compiler's own crate of that name: the kernel exports what it would provide (memcpy and the
/// like).
const COMPILER_BUILTINS: &str = "\
#![feature(compiler_builtins)]
#![allow(internal_features)]
#![compiler_builtins]
#![no_builtins]
#![no_std]
";

/// The name in compiled code of the directory with the standard library's sources.
const SOURCE: &str = "library";

/// The sysroot that has `core` for a target of rustc and `flags`.
pub fn sysroot(target: &str, flags: &[String], reporter: &dyn Reporter) -> Result<PathBuf> {
    let version = debian::rustc_version()?;
    check_version(&version)?;
    let mut hasher = DefaultHasher::new();
    (COMPILER_BUILTINS, SOURCE, target, flags).hash(&mut hasher);
    let key = Path::new("sysroots").join(format!("{version}-{:016x}", hasher.finish()));
    cache::entry(key, |dir| {
        let source = debian::rust_src()?;
        let what = format!("core {version} with the kernel's flags, once");
        let _progress = reporter.progress("Compiling", &what);
        let library = dir.join("lib/rustlib").join(target).join("lib");
        fs::create_dir_all(&library).map_err(Error::io("create", &library))?;
        let builtins = dir.join("compiler_builtins.rs");
        fs::write(&builtins, COMPILER_BUILTINS).map_err(Error::io("write", &builtins))?;
        // Places in `core` read as in rustup's standard library, on any machine.
        let mut flags = flags.to_vec();
        flags.push(format!("--remap-path-prefix={}={SOURCE}", source.display()));
        let all = [("core", &source.join("core/src/lib.rs")), ("compiler_builtins", &builtins)];
        all.into_iter().try_for_each(|(name, source)| compile(name, source, target, dir, &library, &flags))
    })
}

/// Compiles one crate of the sysroot to bitcode; machine code is made when a patch is linked.
fn compile(
    name: &str,
    source: &Path,
    target: &str,
    sysroot: &Path,
    library: &Path,
    flags: &[String],
) -> Result<()> {
    run_tool(
        Command::new("rustc")
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["--edition=2024", "--crate-type=rlib", "--crate-name", name, "--target", target])
            .args(["-Copt-level=2", "-Cpanic=abort", "-Ccodegen-units=1", "-Clinker-plugin-lto"])
            .args(["-Zforce-unstable-if-unmarked", "--cap-lints=allow", "-Awarnings"])
            .args(flags)
            .arg("--sysroot")
            .arg(sysroot)
            .arg("--out-dir")
            .arg(library)
            .arg(source),
    )?;
    Ok(())
}

/// Refuses a compiler that may lack flags which klp passes. A newer one may be used: it says itself what it lacks.
fn check_version(version: &str) -> Result<()> {
    const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");
    let numbers = |version: &str| -> Vec<u32> {
        version.split(['.', '-']).take(2).map_while(|number| number.parse().ok()).collect()
    };
    if numbers(version) >= numbers(OLDEST) {
        return Ok(());
    }
    Err(Error::Request {
        message: format!(
            "rustc is {version}, which is older than {OLDEST}, the oldest that can compile patches"
        ),
        help: "run `rustup update`, or put a newer rustc first in PATH".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distributions have a rustc of their own, which may have compiled the kernel's Rust code.
    #[test]
    fn a_foreign_rustc_is_refused_where_it_is_too_old() {
        for version in ["1.95.0", "1.97.1", "1.98.0-nightly", "2.0.0"] {
            check_version(version).unwrap();
        }
        for version in ["1.85.1", "1.9.0", "1.94.0-beta.1"] {
            let error = check_version(version).unwrap_err();
            assert!(
                error.to_string().contains(&format!("rustc is {version}, which is older than 1.95")),
                "{error}"
            );
            assert!(error.help().unwrap().contains("rustup update"));
        }
    }
}
