//! The compiler that builds modules for a kernel, as variables of Kbuild's make name it.

use super::Kernel;
use crate::host::tools::{find_program, version_of};

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
    /// What the names of LLVM's programs end in: the version, as Debian has several, or nothing where only `clang`
    /// itself is of this version.
    fn suffix(version: u32) -> String {
        let suffix = format!("-{version}");
        let has_number = find_program(&format!("clang{suffix}")).is_some();
        if !has_number && version_of("clang") == Some(version) { String::new() } else { suffix }
    }

    /// The programs that it consists of beside GNU's linker, which every build needs: they must be in `PATH`; each with
    /// Debian's package.
    pub fn programs(self) -> Vec<(String, String)> {
        let all = |programs: &[(&str, &str)], suffix: &str| {
            programs
                .iter()
                .map(|(name, package)| (format!("{name}{suffix}"), format!("{package}{suffix}")))
                .collect()
        };
        match self {
            Self::Gnu => all(&[("gcc", "gcc")], ""),
            Self::Clang { version, lld } => {
                let llvm: &[(&str, &str)] = if lld {
                    &[("clang", "clang"), ("ld.lld", "lld"), ("llvm-nm", "llvm")]
                } else {
                    &[("clang", "clang")]
                };
                all(llvm, &Self::suffix(version))
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

    /// No machine has this version.
    #[test]
    fn make_is_told_of_clang() {
        let clang = |lld| Toolchain::Clang { version: 999, lld };
        assert_eq!(Toolchain::Gnu.variables(), None);
        assert_eq!(clang(true).variables().unwrap(), "LLVM=-999");
        assert_eq!(clang(false).variables().unwrap(), "CC=clang-999");
        let names = |toolchain: Toolchain| -> Vec<String> {
            toolchain.programs().into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(clang(true)), ["clang-999", "ld.lld-999", "llvm-nm-999"]);
        assert_eq!(names(clang(false)), ["clang-999"]);
        assert_eq!(names(Toolchain::Gnu), ["gcc"]);
    }
}
