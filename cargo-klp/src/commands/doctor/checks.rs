//! What this machine has of what is asked of it.

use std::env;
use std::path::{Path, PathBuf};

use super::Requirement;
use crate::commands::ui::Terminal;
use crate::error::Error;
use crate::host::debian;
use crate::host::tools::find_program;
use crate::kernel::arch::X86_64;
use crate::kernel::debug_info::DebugInfo;
use crate::kernel::kernel_crate::KernelCrate;
use crate::kernel::symbols::{Symbols, VMLINUX, image_file};
use crate::kernel::{Arch, Kernel, KernelParts, KernelQuery, Target, Toolchain, source};
use crate::vm;

/// One line of the table.
#[derive(Debug, serde::Serialize)]
pub(super) struct Check {
    /// What the group of lines is for.
    pub(super) group: &'static str,
    pub(super) name: String,
    pub(super) needed_for: &'static str,
    /// Where or in which version it is here.
    pub(super) found: Option<String>,
    #[serde(skip)]
    pub(super) fix: Fix,
}

/// How to get what is missing.
#[derive(Debug)]
pub(super) enum Fix {
    /// Install a package, by Debian's name.
    Package(String),
    RustSrc,
    /// Fetch the busybox for guests of another architecture.
    Busybox(&'static Arch),
    Kernel(String),
    DebugInfo(String),
    Source(String),
    KernelCrate(String),
    /// Tell the user to change something that only the user can change.
    User(&'static str),
}

impl Check {
    /// Whether it is here.
    pub(super) fn ok(&self) -> bool {
        self.found.is_some()
    }
}

/// Looks for all that is required.
pub(super) fn check(requirements: &[Requirement]) -> Vec<Check> {
    let mut checks = vec![Check {
        group: "machine",
        name: "x86_64".into(),
        needed_for: "the only supported architecture",
        found: (env::consts::ARCH == "x86_64").then(String::new),
        fix: Fix::User("use an x86_64 machine"),
    }];
    if requirements.contains(&Requirement::Build) {
        checks.extend(build_checks());
    }
    if requirements.contains(&Requirement::Run) {
        checks.extend(run_checks(&X86_64));
        checks.push(modules_check());
    }
    for requirement in requirements {
        match requirement {
            Requirement::RunFor(arch) => checks.extend(run_checks(arch)),
            Requirement::Kernel(wanted) => checks.extend(kernel_checks(wanted)),
            Requirement::BuildDir(kdir) => checks.extend(build_dir_checks(kdir)),
            Requirement::DebugInfo(wanted) => checks.push(debug_info_check(wanted)),
            Requirement::Source(wanted) => checks.push(source_check(wanted)),
            Requirement::KernelCrate(wanted) => checks.extend(kernel_crate_checks(wanted)),
            Requirement::Program(name, package, needed_for) => checks.push(Check {
                group: "program",
                name: (*name).into(),
                needed_for,
                found: find_program(name).map(shown),
                fix: Fix::Package((*package).into()),
            }),
            Requirement::File(path, package, needed_for) => checks.push(Check {
                group: "file",
                name: (*path).into(),
                needed_for,
                found: Path::new(path).exists().then(|| (*path).into()),
                fix: Fix::Package((*package).into()),
            }),
            Requirement::Build | Requirement::Run => {}
        }
    }
    checks
}

fn build_checks() -> Vec<Check> {
    let program = |name: &str, needed_for, package: &str| Check {
        group: "build",
        name: name.into(),
        needed_for,
        found: find_program(name).map(shown),
        fix: Fix::Package(package.into()),
    };
    // Debian's directory of libraries, and that of the others.
    let libelf = ["/usr/lib/x86_64-linux-gnu/libelf.so.1", "/usr/lib64/libelf.so.1", "/usr/lib/libelf.so.1"];
    vec![
        Check { fix: Fix::User("install Rust with rustup"), ..program("rustc", "compiles patches", "") },
        Check {
            group: "build",
            name: "rust-src".into(),
            needed_for: "`core` is compiled from it for the target kernel",
            found: debian::rust_src().ok().map(shown),
            fix: Fix::RustSrc,
        },
        program("make", "runs Kbuild", "make"),
        program("gcc", "compiles the C glue", "gcc"),
        program("ld", "links modules", "binutils"),
        program("pahole", "makes the BTF of modules, where the kernel's headers ask for it", "pahole"),
        Check {
            group: "build",
            name: "libelf.so.1".into(),
            needed_for: "objtool and modpost of the kernel's headers",
            found: libelf.into_iter().find(|file| Path::new(file).exists()).map(str::to_owned),
            fix: Fix::Package("libelf1".into()),
        },
    ]
}

fn run_checks(arch: &'static Arch) -> [Check; 2] {
    let check = |name, needed_for, found: Option<PathBuf>, fix| Check {
        group: "run",
        name,
        needed_for,
        found: found.map(shown),
        fix,
    };
    let qemu = &arch.qemu;
    let package = Fix::Package(qemu.package.into());
    let busybox = vm::static_busybox(arch).ok();
    [
        check(qemu.program.into(), "boots kernels", find_program(qemu.program), package),
        if arch.is_foreign() {
            let needed_for = "starts the guest, and stands there for this machine's programs";
            check(format!("busybox (static, {})", arch.name), needed_for, busybox, Fix::Busybox(arch))
        } else {
            let package = Fix::Package("busybox-static".into());
            check("busybox (static)".into(), "starts the guest", busybox, package)
        },
    ]
}

fn modules_check() -> Check {
    Check {
        group: "run",
        name: "insmod, depmod".into(),
        needed_for: "handles modules",
        found: find_program("insmod").and(find_program("depmod")).map(shown),
        fix: Fix::Package("kmod".into()),
    }
}

/// What boots a kernel of another architecture.
fn foreign_checks(kernel: &Kernel) -> Vec<Check> {
    let arch = kernel.arch();
    if arch.is_foreign() { run_checks(arch).into() } else { Vec::new() }
}

fn kernel_checks(wanted: &str) -> Vec<Check> {
    let kernel = KernelQuery::Release(wanted.into()).find(KernelParts::Image).ok();
    let mut checks = vec![Check {
        group: "kernel",
        name: wanted.into(),
        needed_for: "headers to build against, image and modules to boot",
        found: kernel.as_ref().map(|kernel| format!("{} in {}", kernel.release, kernel.kdir.display())),
        fix: Fix::Kernel(wanted.into()),
    }];
    checks.extend(kernel.iter().flat_map(compiler_checks));
    checks.extend(kernel.iter().flat_map(foreign_checks));
    checks
}

fn build_dir_checks(kdir: &Path) -> Vec<Check> {
    let kernel = Kernel::from_kdir(kdir).ok();
    let image = kernel.as_ref().and_then(image_file);
    let mut checks = vec![
        Check {
            group: "kernel",
            name: shown(kdir.to_owned()),
            needed_for: "build directory, to build against",
            found: kernel.as_ref().map(|kernel| kernel.release.clone()),
            fix: Fix::User("name the build directory of a kernel: what /lib/modules/RELEASE/build points to"),
        },
        Check {
            group: "kernel",
            name: "its image".into(),
            needed_for: "says which symbols the kernel has, and boots",
            found: image.map(shown),
            fix: Fix::User("build `bzImage` in the kernel's tree, or install the package with its image"),
        },
    ];
    checks.extend(kernel.iter().flat_map(compiler_checks));
    checks.extend(kernel.iter().flat_map(foreign_checks));
    checks
}

/// What builds modules of a kernel beside what builds those of any.
fn compiler_checks(kernel: &Kernel) -> Vec<Check> {
    let check = |name, program: &str, needed_for, package| Check {
        group: "kernel",
        name,
        needed_for,
        found: find_program(program).map(shown),
        fix: Fix::Package(package),
    };
    if kernel.toolchain() != Toolchain::Gnu || kernel.arch().is_foreign() {
        let needed_for = "what this kernel was built with builds its modules";
        // This machine's own linker is asked for in any case.
        let programs = kernel.programs().into_iter().filter(|(name, _)| name != "ld");
        return programs.map(|(name, package)| check(name.clone(), &name, needed_for, package)).collect();
    }
    let named = kernel.compiler().zip(kernel.compiler_program());
    let needed_for = "the compiler that this kernel's Kbuild calls";
    named
        .map(|(compiler, program)| check(compiler.clone(), &program, needed_for, compiler))
        .into_iter()
        .collect()
}

fn debug_info_check(wanted: &str) -> Check {
    let found = || {
        let target = Target::from(KernelQuery::Release(wanted.into()).find(KernelParts::Image)?);
        let symbols = Symbols::of(&target, &Terminal)?;
        let known = DebugInfo::of(&symbols, &symbols.object(VMLINUX)?)?;
        Ok::<_, Error>(known.map(|_| target.kernel.release.clone()))
    };
    Check {
        group: "kernel",
        name: format!("{wanted}, debug information"),
        needed_for: "says where functions were inlined",
        found: found().ok().flatten(),
        fix: Fix::DebugInfo(wanted.into()),
    }
}

fn source_check(wanted: &str) -> Check {
    let found = || source::find(&KernelQuery::Release(wanted.into()).find(KernelParts::Headers)?);
    Check {
        group: "kernel",
        name: format!("{wanted}, source"),
        needed_for: "`cargo klp new --diff` makes patches of it",
        found: found().ok().flatten().map(shown),
        fix: Fix::Source(wanted.into()),
    }
}

/// The crate, and where it is not there, what it is made with.
fn kernel_crate_checks(wanted: &str) -> Vec<Check> {
    let found = || KernelCrate::of(&KernelQuery::Release(wanted.into()).find(KernelParts::Headers)?);
    let found = found().ok();
    let tools = [
        Requirement::Program("flex", "flex", "makes the `kernel` crate"),
        Requirement::Program("bison", "bison", "makes the `kernel` crate"),
        Requirement::Program("bc", "bc", "makes the `kernel` crate"),
        Requirement::Program("python3", "python3", "makes the `kernel` crate"),
        Requirement::File("/usr/include/libelf.h", "libelf-dev", "makes the `kernel` crate"),
        Requirement::File("/usr/include/openssl/ssl.h", "libssl-dev", "makes the `kernel` crate"),
    ];
    // Without the line on the machine, which is there already.
    let mut checks = if found.is_some() { Vec::new() } else { check(&tools).split_off(1) };
    checks.push(Check {
        group: "kernel",
        name: format!("{wanted}, `kernel` crate"),
        needed_for: "patches with `kernel-crate = true` are compiled with it",
        found: found.map(|found| shown(found.objtree().to_owned())),
        fix: Fix::KernelCrate(wanted.into()),
    });
    checks
}

fn shown(path: PathBuf) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No machine has this version.
    #[test]
    fn a_kernel_that_clang_built_needs_that_clang() {
        let missing = |config: &str| -> Vec<_> {
            let checks = compiler_checks(&Kernel::for_test(config)).into_iter();
            checks.filter(|check| !check.ok()).map(|check| check.name).collect()
        };
        let clang = "CONFIG_CC_IS_CLANG=y\nCONFIG_CLANG_VERSION=9990100\n";
        assert_eq!(missing(clang), ["clang-999"]);
        let lld = format!("{clang}CONFIG_LD_IS_LLD=y\n");
        assert_eq!(missing(&lld), ["clang-999", "ld.lld-999", "llvm-nm-999"]);
        assert_eq!(missing("CONFIG_CC_IS_GCC=y\n"), [""; 0]);
    }

    /// On the machines that run the tests, which are of x86.
    #[test]
    fn a_kernel_of_another_architecture_needs_tools_for_it() {
        let checks = compiler_checks(&Kernel::for_test("CONFIG_ARM64=y\n"));
        let packages: Vec<_> = checks.iter().map(|check| format!("{:?}", check.fix)).collect();
        assert_eq!(
            packages,
            ["Package(\"gcc-aarch64-linux-gnu\")", "Package(\"binutils-aarch64-linux-gnu\")"]
        );
    }
}
