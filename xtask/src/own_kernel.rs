//! Kernels that the tests build themselves: the debug kernel, which checks itself with KASAN, lockdep, kmemleak and
//! others of the kernel's own checkers, one that Clang builds with kCFI, and one for arm64, whose stock kernels can't be
//! livepatched.
//!
//! Each is built once from the distribution's source package, of the same version as the stock kernel that is tested,
//! with a small configuration. It has a cache of its own, in which klp finds it as it finds the distribution's kernels in
//! the usual one: so nothing takes it for the newest kernel of its series.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use cargo_klp::commands::doctor::Requirement;
use cargo_klp::commands::ui::{self, Terminal};
use cargo_klp::error::{Error, Result};
use cargo_klp::host::debian::Apt;
use cargo_klp::host::tools::run_tool;
use cargo_klp::host::{cache, processors};
use cargo_klp::kernel::{DEFAULT_SERIES, KernelParts, KernelQuery, arch};

use crate::command::TestKernel;

/// What their builds need beside what patches need.
pub(crate) const REQUIREMENTS: [Requirement; 7] = [
    Requirement::Program("xz", "xz-utils", "unpacks the kernel's sources"),
    Requirement::Program("flex", "flex", "builds kernels"),
    Requirement::Program("bison", "bison", "builds kernels"),
    Requirement::Program("bc", "bc", "builds kernels"),
    Requirement::Program("perl", "perl", "builds kernels"),
    Requirement::Program("python3", "python3", "builds the BTF tools of kernels"),
    Requirement::File("/usr/include/libelf.h", "libelf-dev", "builds the kernels' objtool"),
];

/// What the build of [`CFI`] needs, too.
pub(crate) const CLANG: [Requirement; 3] = [
    Requirement::Program("clang-19", "clang-19", "builds a kernel with kCFI"),
    Requirement::Program("ld.lld-19", "lld-19", "builds a kernel with kCFI"),
    Requirement::Program("llvm-nm-19", "llvm-19", "builds a kernel with kCFI"),
];

/// What [`ARM64`] needs, too: its build, and that of the tests' half that runs in its guest.
pub(crate) const ARM64_TOOLS: [Requirement; 3] = [
    Requirement::Program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", "builds a kernel for arm64"),
    Requirement::File(
        "/usr/aarch64-linux-gnu/lib/libc.a",
        "libc6-dev-arm64-cross",
        "links the tests for the guest",
    ),
    Requirement::RunFor(&arch::ARM64),
];

/// A kernel to build.
#[derive(Debug)]
pub(crate) struct OwnKernel {
    /// What it is called.
    name: &'static str,
    /// The series that it is of.
    pub(crate) series: &'static str,
    /// Options on top of a configuration in which everything is off, and of those that all have. One that all have and
    /// that `is not set` here is left out.
    config: &'static str,
    /// The program whose version says which compiler builds it.
    compiler: &'static str,
    /// What make is told of the compiler.
    toolchain: &'static [&'static str],
    /// The program that takes symbols out of its image.
    strip: &'static str,
}

/// The debug kernel.
pub(crate) const DEBUG: OwnKernel = OwnKernel {
    name: "debug kernel",
    series: DEFAULT_SERIES,
    config: include_str!("debug_kernel.config"),
    compiler: "gcc",
    toolchain: &[],
    strip: "strip",
};

/// The kernel with kCFI.
pub(crate) const CFI: OwnKernel = OwnKernel {
    name: "kernel with kCFI",
    series: DEFAULT_SERIES,
    config: include_str!("cfi_kernel.config"),
    compiler: "clang-19",
    toolchain: &["LLVM=-19"],
    strip: "strip",
};

/// The kernel for arm64, where kernels have livepatching since 6.17.
pub(crate) const ARM64: OwnKernel = OwnKernel {
    name: "kernel for arm64",
    series: "7.3",
    config: include_str!("arm64_kernel.config"),
    compiler: "aarch64-linux-gnu-gcc",
    toolchain: &["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"],
    strip: "aarch64-linux-gnu-strip",
};

/// Options that all have.
const COMMON: &str = include_str!("own_kernel.config");

impl OwnKernel {
    /// The kernel, of the version of the stock kernel of its series; builds it if it is not in the cache.
    pub(crate) fn get(&self) -> Result<TestKernel> {
        let stock = KernelQuery::Release(self.series.into()).find(KernelParts::Image)?.release;
        let version = stock.split(['-', '+', '~']).next().unwrap_or(&stock);
        let entry = cache::entry(self.key(version)?, |dir| self.build(&stock, version, dir))?;
        for shared in ["rust-src", "busybox"] {
            link_to_usual(&entry, shared)?;
        }
        let kernels = entry.join("kernels");
        let mut releases = fs::read_dir(&kernels).map_err(Error::io("read", &kernels))?;
        let release = releases.next().expect("the build has put one there");
        let release = release.map_err(Error::io("read", &kernels))?.file_name();
        Ok(TestKernel { name: release.to_string_lossy().into_owned(), cache: Some(entry) })
    }

    /// The options that are set.
    fn options(&self) -> impl Iterator<Item = &'static str> + '_ {
        let is_common = |line: &&str| {
            let option = line.split('=').next().unwrap_or(line);
            !self.config.lines().any(|own| {
                own.strip_prefix("# ").and_then(|own| own.strip_suffix(" is not set")) == Some(option)
            })
        };
        let common = COMMON.lines().filter(is_common);
        common.chain(self.config.lines()).filter(|line| line.starts_with("CONFIG_"))
    }

    /// What it is made of: the version of the sources, the options, the compiler.
    fn key(&self, version: &str) -> Result<PathBuf> {
        let compiler = run_tool(Command::new(self.compiler).arg("--version"))?.stdout;
        let mut hasher = DefaultHasher::new();
        (self.options().collect::<Vec<_>>(), compiler).hash(&mut hasher);
        Ok(Path::new("own-kernels").join(format!("{version}-{:016x}", hasher.finish())))
    }

    /// Builds it into an entry of the cache.
    fn build(&self, stock: &str, version: &str, entry: &Path) -> Result<()> {
        ui::note(format!("the {} is built once, which takes several minutes of processor time", self.name));
        let start = Instant::now();
        let tree = entry.join("tree");
        self.unpack(stock, version, entry, &tree)?;
        self.configure(&tree)?;
        self.make(&tree, "Building", &["vmlinux", "modules"])?;
        let release = run_tool(self.make_in(&tree).args(["--silent", "kernelrelease"]))?.stdout;
        let release = String::from_utf8_lossy(&release).trim().to_owned();

        let root = entry.join("kernels").join(&release).join("root");
        for directory in ["boot", "usr/src"].map(|directory| root.join(directory)) {
            fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
        }
        let install = format!("INSTALL_MOD_PATH={}", root.display());
        self.make(&tree, "Installing", &[&install, "INSTALL_MOD_STRIP=1", "modules_install"])?;
        let image = root.join("boot").join(format!("vmlinuz-{release}"));
        run_tool(Command::new(self.strip).arg("-o").arg(&image).arg(tree.join("vmlinux")))?;
        // Links to where the tree is now, which is not where it will be.
        for link in ["build", "source"].map(|link| root.join("lib/modules").join(&release).join(link)) {
            let _ = fs::remove_file(link);
        }
        // What modules are built against is the tree, but for the kernel's objects, which take most of the room.
        run_tool(
            Command::new("find")
                .arg(&tree)
                .args(["-name", "*.o", "-delete", "-o", "-name", "*.a", "-delete"]),
        )?;
        let headers = root.join("usr/src").join(format!("linux-headers-{release}"));
        fs::rename(&tree, &headers).map_err(Error::io("rename", &tree))?;
        ui::status("Built", format_args!("the {} {release} in {} s", self.name, start.elapsed().as_secs()));
        Ok(())
    }

    /// Turns the options on and all others off.
    ///
    /// # Errors
    ///
    /// An option that this kernel does not know, or whose conditions are not met: a checker would be missing silently.
    fn configure(&self, tree: &Path) -> Result<()> {
        let fragment = tree.join("klp.config");
        fs::write(&fragment, self.options().collect::<Vec<_>>().join("\n") + "\n")
            .map_err(Error::io("write", &fragment))?;
        run_tool(self.make_in(tree).arg("allnoconfig").env("KCONFIG_ALLCONFIG", &fragment))?;
        let file = tree.join(".config");
        let config = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        let missing: Vec<_> =
            self.options().filter(|option| !config.lines().any(|line| line == *option)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::Request {
            message: format!("the kernel's configuration does not take {}", missing.join(", ")),
            help: "change the configurations in xtask/src".into(),
        })
    }

    /// Makes targets with all processors.
    fn make(&self, tree: &Path, verb: &'static str, targets: &[&str]) -> Result<()> {
        let _spinner = ui::spinner(verb, format!("the {}", self.name));
        run_tool(self.make_in(tree).arg(format!("-j{}", processors())).args(targets))?;
        Ok(())
    }

    /// Unpacks the sources of a version, or of the newest one where the archive no longer has that.
    fn unpack(&self, stock: &str, version: &str, entry: &Path, tree: &Path) -> Result<()> {
        let package = format!("linux-source-{}", self.series);
        let unpacked = tempfile::tempdir_in(entry).map_err(Error::io("create", entry))?;
        let apt = Apt::of_kernel(stock, &Terminal)?;
        let versions = apt.versions(&package)?;
        let exact = versions.iter().find(|found| found.starts_with(&format!("{version}-")));
        apt.download_and_extract(&package, exact.map(String::as_str), unpacked.path())?;
        fs::create_dir(tree).map_err(Error::io("create", tree))?;
        let archive = unpacked.path().join(format!("usr/src/{package}.tar.xz"));
        let _spinner = ui::spinner("Unpacking", &package);
        let mut tar = Command::new("tar");
        tar.arg("--extract")
            .arg("--file")
            .arg(archive)
            .arg("--directory")
            .arg(tree)
            .arg("--strip-components=1");
        run_tool(&mut tar)?;
        Ok(())
    }

    fn make_in(&self, tree: &Path) -> Command {
        let mut make = Command::new("make");
        make.arg("-C")
            .arg(tree)
            .args(self.toolchain)
            .env_remove("MAKEFLAGS")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        make
    }
}

/// Lets its cache have what of the usual one is the same for all kernels.
fn link_to_usual(entry: &Path, name: &str) -> Result<()> {
    let (usual, link) = (cache::root()?.join(name), entry.join(name));
    if !usual.exists() {
        return Ok(());
    }
    match symlink(&usual, &link) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::io("create", link)(error))
        }
        _ => Ok(()),
    }
}
