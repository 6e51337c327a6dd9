//! The compiler that builds modules for a kernel, as variables of Kbuild's make name it.

use super::Kernel;
use crate::host::tools::find_program;

/// The toolchains that build kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// GCC, and GNU binutils: what Kbuild calls without being told.
    Gnu,
    /// Clang, of the version with this first number.
    Clang {
        /// The version.
        version: u32,
        /// Whether the kernel is linked by LLVM's own linker, and built with LLVM's other tools.
        lld: bool,
    },
}

impl Kernel {
    /// The toolchain that built the kernel, and that its modules must be built with.
    pub fn toolchain(&self) -> Toolchain {
        if self.config("CONFIG_CC_IS_CLANG").is_none() {
            return Toolchain::Gnu;
        }
        let version = self.config("CONFIG_CLANG_VERSION").and_then(|version| version.parse::<u32>().ok());
        Toolchain::Clang {
            version: version.unwrap_or_default() / 10_000,
            lld: self.config("CONFIG_LD_IS_LLD").is_some(),
        }
    }
}

impl Toolchain {
    /// What the names of LLVM's programs end in on this machine: nothing where `clang` is of this version.
    fn suffix(version: u32) -> String {
        let suffix = format!("-{version}");
        if find_program(&format!("clang{suffix}")).is_some() { suffix } else { String::new() }
    }

    /// The programs that it consists of, which must be in `PATH`, each with Debian's package.
    pub fn programs(self) -> Vec<(String, String)> {
        let all = |programs: &[(&str, &str)], suffix: &str| {
            programs
                .iter()
                .map(|(name, package)| (format!("{name}{suffix}"), format!("{package}{suffix}")))
                .collect()
        };
        match self {
            Self::Gnu => all(&[("gcc", "gcc"), ("ld", "binutils")], ""),
            Self::Clang { version, lld } => {
                // Debian has several versions, and no package of one for all.
                let suffix = if find_program("clang").is_some() {
                    Self::suffix(version)
                } else {
                    format!("-{version}")
                };
                let llvm: &[(&str, &str)] = if lld {
                    &[("clang", "clang"), ("ld.lld", "lld"), ("llvm-nm", "llvm")]
                } else {
                    &[("clang", "clang")]
                };
                all(llvm, &suffix)
            }
        }
    }

    /// The variables that tell make of it.
    pub fn variables(self) -> Option<String> {
        match self {
            Self::Gnu => None,
            Self::Clang { version, lld: true } => {
                let suffix = Self::suffix(version);
                Some(if suffix.is_empty() { "LLVM=1".into() } else { format!("LLVM={suffix}") })
            }
            Self::Clang { version, lld: false } => Some(format!("CC=clang{}", Self::suffix(version))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_the_toolchain() {
        let of = |config: &str| Kernel::for_test(config).toolchain();
        assert_eq!(of("CONFIG_CC_IS_GCC=y\nCONFIG_CLANG_VERSION=0\n"), Toolchain::Gnu);
        assert_eq!(
            of("CONFIG_CC_IS_CLANG=y\nCONFIG_CLANG_VERSION=190107\nCONFIG_LD_IS_LLD=y\n"),
            Toolchain::Clang { version: 19, lld: true }
        );
        assert_eq!(
            of("CONFIG_CC_IS_CLANG=y\nCONFIG_CLANG_VERSION=210000\nCONFIG_LD_IS_BFD=y\n"),
            Toolchain::Clang { version: 21, lld: false }
        );
    }

    /// No machine has this version, so the programs have Debian's names for it, or no number.
    #[test]
    fn make_is_told_of_clang() {
        let clang = |lld| Toolchain::Clang { version: 999, lld };
        assert_eq!(Toolchain::Gnu.variables(), None);
        assert_eq!(clang(true).variables().unwrap(), "LLVM=1");
        assert_eq!(clang(false).variables().unwrap(), "CC=clang");
        let names = |toolchain: Toolchain| -> Vec<String> {
            toolchain
                .programs()
                .into_iter()
                .map(|(name, _)| name.trim_end_matches("-999").to_owned())
                .collect()
        };
        assert_eq!(names(clang(true)), ["clang", "ld.lld", "llvm-nm"]);
        assert_eq!(names(clang(false)), ["clang"]);
        assert_eq!(names(Toolchain::Gnu), ["gcc", "ld"]);
    }
}
