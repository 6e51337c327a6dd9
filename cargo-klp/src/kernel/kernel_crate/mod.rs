//! The `kernel` crate of a kernel with Rust code, and the rustc that compiled that code: with both, a patch can use what
//! the kernel's own Rust drivers use.
//!
//! Distributions' headers do not have the crate. [`make()`] makes it from the kernel's source, with the kernel's own
//! rustc and configuration; then its functions have the names that the kernel exports.

mod make;

use std::fs;
use std::path::{Path, PathBuf};

pub use make::make;

use super::Kernel;
use crate::error::{Error, Result};
use crate::host::cache;

/// The key in the table `package.metadata.klp` of a patch's Cargo.toml that asks for the crate.
pub const KEY: &str = "kernel-crate";

/// The crates that Kbuild gives to a kernel's own modules, as far as a kernel has them.
const CRATES: [&str; 4] = ["kernel", "pin_init", "zerocopy", "zerocopy_derive"];

/// Kbuild's record of how the crate was compiled.
const COMMAND: &str = "rust/.kernel.o.cmd";

/// Starts of code generation flags of Kbuild that are no matter of the ABI: cargo or klp chooses them for a patch.
const OF_BUILD: [&str; 7] = [
    "-Zbinary_dep_depinfo",
    "-Zcrate-attr",
    "-Zallow-features",
    "-Zunstable-options",
    "-Zfunction-sections",
    "-Copt-level",
    "-Cdebuginfo",
];

/// The `kernel` crate of a kernel, in the cache.
#[derive(Clone, Debug)]
pub struct KernelCrate {
    release: String,
    version: String,
    objtree: PathBuf,
    rustc: PathBuf,
}

impl KernelCrate {
    /// That of a kernel.
    ///
    /// # Errors
    ///
    /// The kernel has no Rust code, or its crate has not been made.
    pub fn of(kernel: &Kernel) -> Result<Self> {
        let text = rustc_text(kernel)?;
        let (objtree, rustc) = (entry(kernel)?, make::rustc(text)?);
        if !objtree.exists() || !rustc.exists() {
            return Err(Error::MissingSome {
                what: vec![format!("the `kernel` crate of {}", kernel.release)],
                help: format!("run `cargo klp doctor --fix --kernel-crate --kernel {}`", kernel.release),
            });
        }
        Ok(Self { release: kernel.release.clone(), version: text.into(), objtree, rustc })
    }

    /// What the rustc that made it says of its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether that rustc is older than a version.
    pub fn is_before(&self, major: u32, minor: u32) -> bool {
        let number = self.version.split_whitespace().nth(1).unwrap_or_default();
        let numbers: Vec<u32> = number.split('.').map_while(|part| part.parse().ok()).collect();
        numbers.as_slice() < [major, minor].as_slice()
    }

    /// The rustc that made it, the kernel's own.
    pub fn rustc(&self) -> &Path {
        &self.rustc
    }

    /// The directory that has in `rust` the crates' metadata, as a directory in which the kernel is built has it.
    pub fn objtree(&self) -> &Path {
        &self.objtree
    }

    /// The file that describes the target which the kernel's Rust code is compiled for.
    pub fn target(&self) -> PathBuf {
        self.objtree.join(TARGET)
    }

    /// The file with the kernel's configuration, as arguments of rustc.
    pub fn configuration(&self) -> PathBuf {
        self.objtree.join(CONFIGURATION)
    }

    /// The names of the crates that a patch may use.
    pub fn crates(&self) -> impl Iterator<Item = &'static str> {
        let is_there = |name: &&str| {
            ["rmeta", "so"]
                .iter()
                .any(|extension| self.objtree.join(format!("rust/lib{name}.{extension}")).exists())
        };
        CRATES.into_iter().filter(is_there)
    }

    /// The code generation flags that it was compiled with, as far as a patch must have them too.
    pub fn flags(&self) -> Result<Vec<String>> {
        let file = self.objtree.join(COMMAND);
        let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        Ok(of_abi(text.lines().next().unwrap_or_default()))
    }

    /// Holds the flags of a Kbuild (`KBUILD_RUSTFLAGS`) to those of the crate.
    ///
    /// # Errors
    ///
    /// Kbuild asks for another flag: the crate was made for another build of the kernel.
    pub fn check_kbuild(&self, kbuild: &str) -> Result<()> {
        let flags = self.flags()?;
        let unknown: Vec<String> = of_abi(kbuild).into_iter().filter(|flag| !flags.contains(flag)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(Error::Request {
            message: format!(
                "the `kernel` crate of {} was compiled without `{}`, which the kernel's Kbuild gives to Rust code",
                self.release,
                unknown.join(" ")
            ),
            help: format!(
                "remove it with `rm -r {}`, then run `cargo klp doctor --fix --kernel-crate --kernel {}`",
                self.objtree.display(),
                self.release
            ),
        })
    }
}

/// What the target's description and the configuration are called in a directory in which a kernel is built.
const TARGET: &str = "scripts/target.json";
const CONFIGURATION: &str = "include/generated/rustc_cfg";

/// What the rustc of a kernel says of its version.
fn rustc_text(kernel: &Kernel) -> Result<&str> {
    let text = kernel.config("CONFIG_RUST").and_then(|_| kernel.config("CONFIG_RUSTC_VERSION_TEXT"));
    text.ok_or_else(|| Error::Request {
        message: format!("kernel {} has no `kernel` crate: it is built without CONFIG_RUST", kernel.release),
        help: format!(
            "build for a kernel with Rust code, such as Debian's 7.3 (`--kernel 7.3`), or take `{KEY} = true` out of the \
             patch's Cargo.toml"
        ),
    })
}

/// Where the crate of a kernel is.
fn entry(kernel: &Kernel) -> Result<PathBuf> {
    Ok(cache::root()?.join("kernel-crates").join(&kernel.release))
}

/// The code generation flags in a command that are a matter of the ABI.
fn of_abi(command: &str) -> Vec<String> {
    let flags = command.split_whitespace().filter(|word| word.starts_with("-C") || word.starts_with("-Z"));
    flags.filter(|flag| !OF_BUILD.iter().any(|start| flag.starts_with(start))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_rust_has_no_crate() {
        for config in ["", "CONFIG_RUSTC_VERSION_TEXT=\"rustc 1.85.1\"\n"] {
            let error = KernelCrate::of(&Kernel::for_test(config)).unwrap_err();
            assert!(error.to_string().contains("built without CONFIG_RUST"), "{error}");
            assert!(error.help().unwrap().contains("--kernel 7.3"));
        }
    }

    #[test]
    fn a_crate_that_was_not_made_is_missing() {
        let kernel = Kernel::for_test("CONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT=\"rustc 1.85.1 (no)\"\n");
        let error = KernelCrate::of(&kernel).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::exit::MISSING);
        assert!(error.help().unwrap().contains("doctor --fix --kernel-crate --kernel test"));
    }

    #[test]
    fn a_patch_has_the_flags_of_the_abi() {
        let command = "savedcmd_rust/kernel.o := OBJTREE=/o /c/rustc --edition=2021 -Zbinary_dep_depinfo=y \
                       -Wmissing_docs -Cpanic=abort -Zfunction-sections=n -Zcf-protection=branch -Copt-level=2 \
                       -Cdebuginfo=2 --extern ffi -L./rust -Zunstable-options";
        assert_eq!(of_abi(command), ["-Cpanic=abort", "-Zcf-protection=branch"]);
    }

    /// A kernel's configuration may change in its directory.
    #[test]
    fn a_crate_with_other_flags_than_kbuilds_is_refused() {
        let objtree = tempfile::tempdir().unwrap();
        fs::create_dir(objtree.path().join("rust")).unwrap();
        fs::write(objtree.path().join(COMMAND), "cmd := rustc -Cpanic=abort -Ccode-model=kernel\nmore")
            .unwrap();
        let made = KernelCrate {
            release: "7.3".into(),
            version: "rustc 1.85.1 (4eb161250 2025-03-15)".into(),
            objtree: objtree.path().into(),
            rustc: "rustc".into(),
        };
        assert!(made.is_before(1, 88) && !made.is_before(1, 85));
        made.check_kbuild("-Wall -Ccode-model=kernel -Copt-level=s").unwrap();
        let error = made.check_kbuild("-Ccode-model=kernel -Zretpoline").unwrap_err();
        assert!(error.to_string().contains("compiled without `-Zretpoline`"), "{error}");
        assert!(error.help().unwrap().contains("rm -r"));
    }
}
