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

    /// The programs that builds of modules need in `PATH` beside make, each with Debian's package.
    pub fn programs(&self) -> Vec<(String, String)> {
        let mut programs = match self.toolchain() {
            Toolchain::Gnu => vec![(self.gcc(), self.arch().package("gcc"))],
            Toolchain::Clang { version, lld } => {
                let suffix = Toolchain::suffix(version);
                let llvm: &[(&str, &str)] = if lld {
                    &[("clang", "clang"), ("ld.lld", "lld"), ("llvm-nm", "llvm")]
                } else {
                    &[("clang", "clang")]
                };
                llvm.iter()
                    .map(|(name, package)| (format!("{name}{suffix}"), format!("{package}{suffix}")))
                    .collect()
            }
        };
        // GNU's linker puts the Rust half together, whatever links the kernel.
        programs.push((self.arch().tool("ld"), self.arch().package("binutils")));
        programs
    }

    /// The GCC that Kbuild calls.
    pub fn gcc(&self) -> String {
        self.foreign_gcc().unwrap_or_else(|| self.arch().tool("gcc"))
    }

    /// The variables that tell make of the toolchain.
    pub fn make_variables(&self) -> Vec<String> {
        let mut variables: Vec<_> = self.toolchain().variables().into_iter().collect();
        if self.arch().is_foreign() {
            variables.push(format!("ARCH={}", self.arch().name));
            variables.push(format!("CROSS_COMPILE={}", self.arch().prefix()));
            variables.extend(self.foreign_gcc().map(|gcc| format!("CC={gcc}")));
        }
        variables
    }

    /// The GCC for another architecture that built the kernel, where it has another name than Kbuild's own: its
    /// configuration has the name.
    fn foreign_gcc(&self) -> Option<String> {
        let built_with = self.config("CONFIG_CC_VERSION_TEXT")?.split_whitespace().next()?;
        let is_it = self.arch().is_foreign()
            && self.toolchain() == Toolchain::Gnu
            && built_with != self.arch().tool("gcc")
            && find_program(built_with).is_some();
        is_it.then(|| built_with.to_owned())
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

    /// The variables that tell make of it.
    fn variables(self) -> Option<String> {
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
        let clang = |linker| {
            Kernel::for_test(&format!(
                "CONFIG_CC_IS_CLANG=y\nCONFIG_CLANG_VERSION=9990000\nCONFIG_LD_IS_{linker}=y\n"
            ))
        };
        let gcc = Kernel::for_test("");
        assert_eq!(gcc.make_variables(), [""; 0]);
        assert_eq!(clang("LLD").make_variables(), ["LLVM=-999"]);
        assert_eq!(clang("BFD").make_variables(), ["CC=clang-999"]);
        let names = |kernel: &Kernel| -> Vec<String> {
            kernel.programs().into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(&clang("LLD")), ["clang-999", "ld.lld-999", "llvm-nm-999", "ld"]);
        assert_eq!(names(&clang("BFD")), ["clang-999", "ld"]);
        assert_eq!(names(&gcc), ["gcc", "ld"]);
    }

    /// On the machines that run the tests, which are of x86.
    #[test]
    fn make_is_told_of_another_architecture() {
        let kernel = |compiler: &str| {
            Kernel::for_test(&format!(
                "CONFIG_ARM64=y\nCONFIG_CC_VERSION_TEXT=\"{compiler} (Debian) 12.2.0\"\n"
            ))
        };
        const OTHERS: [&str; 2] = ["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"];
        assert_eq!(kernel("aarch64-linux-gnu-gcc").make_variables(), OTHERS);
        assert_eq!(kernel("no-such-gcc-77").make_variables(), OTHERS);
        // Any program of this machine will do here.
        assert_eq!(kernel("sh").make_variables(), [OTHERS[0], OTHERS[1], "CC=sh"]);
        assert_eq!(
            kernel("aarch64-linux-gnu-gcc").programs(),
            [
                ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
                ("aarch64-linux-gnu-ld", "binutils-aarch64-linux-gnu"),
            ]
            .map(|(name, package)| (name.to_owned(), package.to_owned()))
        );
        let clang = Kernel::for_test(
            "CONFIG_ARM64=y\nCONFIG_CC_IS_CLANG=y\nCONFIG_CLANG_VERSION=9990000\nCONFIG_LD_IS_LLD=y\n",
        );
        assert_eq!(clang.make_variables(), ["LLVM=-999", OTHERS[0], OTHERS[1]]);
    }
}
