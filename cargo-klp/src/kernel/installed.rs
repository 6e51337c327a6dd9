//! The kernels that patches are built for and run on.
//!
//! A kernel is either installed on this machine, or unpacked from its Debian packages into the cache: there, the
//! directory `kernels/RELEASE/root` holds the files that the packages would install in `/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::host::debian::Debian;

use super::arch::Arch;
use super::build_dir;
use super::places::{InstalledKernel, everywhere, of_build_dir};
use super::release::{is_debians, is_debug_kernel, is_special, matches, series};

/// The choice of a kernel.
#[derive(Clone, Debug, Default)]
pub enum KernelQuery {
    /// Of those that have the parts that are needed: the running kernel, or else the newest one of its series, or else
    /// the newest one.
    #[default]
    Any,
    /// A release, such as `6.12.117+deb12-amd64`, or the newest of a series, such as `6.12`.
    Release(String),
    /// A build directory: what `/lib/modules/RELEASE/build` points to.
    BuildDir(PathBuf),
}

/// The parts of a kernel that must be on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelParts {
    /// The headers, to build modules.
    Headers,
    /// The headers, and the image and modules to boot.
    Image,
}

/// The series that all tests run on. Code for their differences is in the glue, in `kbuild/flags.rs` and in
/// `symbols/kallsyms.rs`.
pub const TESTED: [&str; 3] = ["6.1", "6.12", "7.3"];

/// The default series.
pub const DEFAULT_SERIES: &str = "6.12";

/// The oldest release that has everything that the runtime needs, as two numbers.
const OLDEST: (u32, u32) = (6, 1);

/// A kernel on this machine.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The output of `uname -r` on it.
    pub release: String,
    /// The directory to build modules against.
    pub kdir: PathBuf,
    /// The image to boot.
    pub image: Option<PathBuf>,
    /// The kernel's own `lib/modules/RELEASE`.
    pub modules: Option<PathBuf>,
    arch: &'static Arch,
    config: BTreeMap<String, String>,
}

impl KernelQuery {
    /// Finds the kernel.
    ///
    /// # Errors
    ///
    /// This machine has no such kernel with these parts, or it cannot load livepatches.
    pub fn find(&self, parts: KernelParts) -> Result<Kernel> {
        let wanted = match self {
            Self::BuildDir(kdir) => return Kernel::from_kdir(kdir),
            Self::Release(release) => Some(release.as_str()),
            Self::Any => None,
        };
        let mut installed = everywhere()?;
        installed.retain(|kernel| kernel.has(parts));
        let choice = Choice { machine: Debian::of_this_machine() };
        let chosen = match wanted {
            Some(wanted) => choice.newest(&installed, wanted),
            None => choice.nearest(&installed, &rustix::system::uname().release().to_string_lossy()),
        };
        let Some(kernel) = chosen else {
            if let Some(wanted) = wanted {
                check_wanted(wanted)?;
                check_flavours(&installed, wanted)?;
            }
            return Err(Error::NoKernel {
                wanted: {
                    let with = match parts {
                        KernelParts::Headers => "with headers",
                        KernelParts::Image => "with headers and image",
                    };
                    wanted.map_or_else(|| with.to_owned(), |wanted| format!("{wanted} {with}"))
                },
                series: wanted.unwrap_or(DEFAULT_SERIES).into(),
                available: releases(&installed),
            });
        };
        kernel.open()
    }
}

impl Kernel {
    /// A kernel by its build directory, with its image and modules if the directory belongs to an installed or
    /// cached kernel.
    pub fn from_kdir(kdir: &Path) -> Result<Self> {
        of_build_dir(kdir)?.open()
    }

    /// Whether all tests run on such kernels: those of Debian and the tests' debug kernel, of these series. Others of
    /// the same number may have another configuration and patches of their own.
    pub fn is_tested(&self) -> bool {
        let is_known = is_debians(&self.release) || is_debug_kernel(&self.release);
        is_known && TESTED.iter().any(|tested| matches(&self.release, tested))
    }

    /// Whether its series is this one or a newer one.
    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        series(&self.release).is_some_and(|series| series >= (major, minor))
    }

    /// Its architecture.
    pub fn arch(&self) -> &'static Arch {
        self.arch
    }

    /// The value of a configuration option: `y`, `m`, a number or a string without its quotes;
    /// `None` if it is not set.
    pub fn config(&self, option: &str) -> Option<&str> {
        self.config.get(option).map(String::as_str)
    }

    /// The image, even if it is not in the same directory as the headers: kernels whose exports and checksums are
    /// equal are the same kernel.
    pub(crate) fn packed_image(&self) -> Option<PathBuf> {
        self.image.clone().or_else(|| self.twin()?.image)
    }

    /// `lib/modules/RELEASE` with the kernel's own modules, found in the same way.
    pub(crate) fn modules_dir(&self) -> Option<PathBuf> {
        self.modules.clone().or_else(|| self.twin()?.modules)
    }

    /// The same kernel in another place, with its image.
    fn twin(&self) -> Option<InstalledKernel> {
        let exports = |kdir: &Path| fs::read(kdir.join("Module.symvers")).ok();
        let mine = exports(&self.kdir)?;
        let is_twin = |kernel: &InstalledKernel| {
            kernel.release == self.release
                && kernel.has_image()
                && exports(&kernel.kdir).as_ref() == Some(&mine)
        };
        everywhere().ok()?.into_iter().find(is_twin)
    }

    /// The compiler that the kernel's build asks for, if its packages name one: `gcc-12`.
    pub fn compiler(&self) -> Option<String> {
        build_dir::compiler(&self.variables()?)
    }

    /// The version of GCC that built the kernel, its first number: packages of other distributions name no compiler,
    /// and Kbuild calls `gcc`.
    pub fn gcc_version(&self) -> Option<u32> {
        let version: u32 = self.config("CONFIG_GCC_VERSION")?.parse().ok()?;
        Some(version / 10_000).filter(|&version| version > 0)
    }

    /// The program that is this compiler: a name, or the path of one in the cache.
    pub fn compiler_program(&self) -> Option<String> {
        let variables = self.variables()?;
        Some(format!("{}{}", build_dir::prefix(&variables), build_dir::compiler(&variables)?))
    }

    fn variables(&self) -> Option<String> {
        fs::read_to_string(self.kdir.join(build_dir::VARIABLES)).ok()
    }
}

#[cfg(test)]
impl Kernel {
    /// A kernel that has only a configuration.
    ///
    /// It is for x86 where the configuration does not say.
    pub(crate) fn for_test(config: &str) -> Self {
        let config = build_dir::parse_config(config);
        Self {
            release: "test".into(),
            kdir: PathBuf::new(),
            image: None,
            modules: None,
            arch: Arch::of_config(&config).unwrap_or(&super::arch::X86_64),
            config,
        }
    }
}

impl InstalledKernel {
    fn has_image(&self) -> bool {
        self.image.is_some() && self.modules.is_some()
    }

    fn has(&self, parts: KernelParts) -> bool {
        let headers = build_dir::is_one(&self.kdir);
        headers && (parts == KernelParts::Headers || self.has_image())
    }

    fn open(&self) -> Result<Kernel> {
        if series(&self.release).is_some_and(|series| series < OLDEST) {
            return Err(Error::TooOld { release: self.release.clone() });
        }
        let config = build_dir::read_config(&self.kdir)?;
        let arch = Arch::of_config(&config).map_err(|architecture| Error::Architecture {
            what: format!("kernel {}", self.release),
            architecture: architecture.into(),
            known: Arch::names(),
        })?;
        for option in ["CONFIG_LIVEPATCH", "CONFIG_MODULES"] {
            if !config.contains_key(option) {
                return Err(Error::Unpatchable { release: self.release.clone(), option });
            }
        }
        Ok(Kernel {
            release: self.release.clone(),
            kdir: self.kdir.clone(),
            image: self.image.clone(),
            modules: self.modules.clone(),
            arch,
            config,
        })
    }
}

/// Refuses a release or series that no machine and no archive has for klp.
pub(super) fn check_wanted(wanted: &str) -> Result<()> {
    match series(wanted) {
        Some(series) if series < OLDEST => Err(Error::TooOld { release: wanted.into() }),
        Some(_) => Ok(()),
        None => Err(Error::Request {
            message: format!("`{wanted}` is not a kernel release or series"),
            help: "write a series such as `6.12`, or a release as `uname -r` prints it".into(),
        }),
    }
}

/// The releases on this machine that have the parts that are needed, the newest first.
pub fn available(parts: KernelParts) -> Result<Vec<String>> {
    let mut installed = everywhere()?;
    installed.retain(|kernel| kernel.has(parts));
    Ok(releases(&installed))
}

/// Which of several kernels is taken. `kernel_types!` has the same rules, for editors.
struct Choice {
    /// The Debian of this machine. Kernels of a later one, which are in the cache for trials, come last.
    machine: Debian,
}

impl Choice {
    /// The newest kernel of the wanted release or series; a special flavour only by its whole release.
    fn newest<'a>(&self, kernels: &'a [InstalledKernel], wanted: &str) -> Option<&'a InstalledKernel> {
        self.last(kernels, |release| release == wanted || matches(release, wanted) && !is_special(release))
    }

    /// The running kernel, or else the newest one of its series, or else the newest one; no special flavour but the
    /// one that runs.
    fn nearest<'a>(&self, kernels: &'a [InstalledKernel], running: &str) -> Option<&'a InstalledKernel> {
        let is_of_series = |release: &str| !is_special(release) && series(release) == series(running);
        (self.newest(kernels, running))
            .or_else(|| self.last(kernels, is_of_series))
            .or_else(|| self.last(kernels, |release| !is_special(release)))
    }

    /// The last of those whose releases are wanted: ordered by release; of two with the same release, the one that can
    /// be booted is the greater.
    fn last<'a>(
        &self,
        kernels: &'a [InstalledKernel],
        is_wanted: impl Fn(&str) -> bool,
    ) -> Option<&'a InstalledKernel> {
        let is_own = |kernel: &InstalledKernel| Debian::of_kernel(&kernel.release) <= Some(self.machine);
        kernels.iter().filter(|kernel| is_wanted(&kernel.release)).max_by(|a, b| {
            (is_own(a).cmp(&is_own(b)))
                .then_with(|| alphanumeric_sort::compare_str(&a.release, &b.release))
                .then_with(|| a.has_image().cmp(&b.has_image()))
        })
    }
}

/// Refuses a series of which this machine has special flavours only.
fn check_flavours(installed: &[InstalledKernel], wanted: &str) -> Result<()> {
    let mut flavours = releases(installed);
    flavours.retain(|release| matches(release, wanted));
    let Some(first) = flavours.first() else { return Ok(()) };
    Err(Error::NoPlainKernel { wanted: wanted.into(), first: first.clone(), flavours: flavours.join(", ") })
}

fn releases(installed: &[InstalledKernel]) -> Vec<String> {
    let mut releases: Vec<_> = installed.iter().map(|kernel| kernel.release.clone()).collect();
    releases.sort_by(|a, b| alphanumeric_sort::compare_str(b, a));
    releases.dedup();
    releases
}

/// Where the packages of Debian have the headers of a release, below a root.
pub(super) fn headers_dir(root: &Path, release: &str) -> PathBuf {
    root.join(format!("usr/src/linux-headers-{release}"))
}

#[cfg(test)]
mod tests {
    use super::super::places::in_root as installed;
    use super::*;

    fn add(root: &Path, release: &str, headers: bool, image: bool) {
        let modules = root.join("lib/modules").join(release);
        fs::create_dir_all(modules.join("build/include/config")).unwrap();
        fs::create_dir_all(root.join("boot")).unwrap();
        if headers {
            fs::write(build_dir::auto_conf(&modules.join("build")), "CONFIG_X86_64=y\n").unwrap();
        }
        if image {
            fs::write(root.join(format!("boot/vmlinuz-{release}")), "").unwrap();
            fs::write(modules.join("modules.dep"), "").unwrap();
        }
    }

    /// On a machine with Debian 12.
    fn choice() -> Choice {
        Choice { machine: Debian::of_kernel("6.12.117+deb12-amd64").unwrap() }
    }

    #[test]
    fn series_older_than_the_oldest() {
        assert!(series("5.19.0") < Some(OLDEST) && series("10.0") > Some(OLDEST));
    }

    #[test]
    fn a_special_flavour_is_taken_by_its_whole_release_only() {
        const PLAIN: &str = "6.12.117+deb12-amd64";
        const RT: &str = "6.12.118+deb12-rt-amd64";
        const CLOUD: &str = "6.12.118+deb12-cloud-amd64";
        let root = tempfile::tempdir().unwrap();
        for release in [PLAIN, RT, CLOUD] {
            add(root.path(), release, true, true);
        }
        let all = installed(root.path());
        let newest = |wanted| choice().newest(&all, wanted).map(|kernel| kernel.release.as_str());
        assert_eq!(newest("6.12"), Some(PLAIN));
        assert_eq!(newest(RT), Some(RT));
        assert_eq!(newest("6.12.118"), None);
        assert_eq!(choice().nearest(&all, "6.5.0").unwrap().release, PLAIN);
        assert_eq!(choice().nearest(&all, RT).unwrap().release, RT);
        let error = check_flavours(&all, "6.12.118").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("this machine has kernel 6.12.118 in special flavours only: {RT}, {CLOUD}")
        );
        assert!(error.help().is_some_and(|help| help.contains(&format!("--kernel {RT}"))));
        check_flavours(&all, "6.1").unwrap();
    }

    #[test]
    fn only_debians_kernels_count_as_tested() {
        let is_tested = |release: &str| {
            let kernel = Kernel { release: release.into(), ..Kernel::for_test("") };
            kernel.is_tested()
        };
        for tested in ["6.12.117+deb12-amd64", "6.1.0-56-amd64", "7.3.4+deb13-amd64", "6.12.117-klp-debug"] {
            assert!(is_tested(tested), "{tested}");
        }
        for other in ["6.12.117+deb12-rt-amd64", "6.12.0-55.el10.x86_64", "7.2.12+deb13-amd64"] {
            assert!(!is_tested(other), "{other}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let root = tempfile::tempdir().unwrap();
        for release in ["6.12.9+deb12-amd64", "6.12.117+deb12-amd64", "6.1.0-56-amd64", "6.1.0-9-amd64"] {
            add(root.path(), release, true, true);
        }
        let installed = installed(root.path());
        assert_eq!(choice().newest(&installed, "6.12").unwrap().release, "6.12.117+deb12-amd64");
        assert_eq!(choice().newest(&installed, "6.1").unwrap().release, "6.1.0-56-amd64");
        assert_eq!(
            releases(&installed),
            ["6.12.117+deb12-amd64", "6.12.9+deb12-amd64", "6.1.0-56-amd64", "6.1.0-9-amd64"]
        );
    }

    #[test]
    fn kernels_of_a_later_debian_are_taken_last() {
        const OWN: &str = "6.12.117+deb12-amd64";
        const OLDER: &str = "6.1.0-56-amd64";
        const LATER: [&str; 2] = ["6.12.118+deb13-amd64", "7.3.4+deb13-amd64"];
        let root = tempfile::tempdir().unwrap();
        for release in LATER.into_iter().chain([OWN, OLDER]) {
            add(root.path(), release, true, true);
        }
        let installed = installed(root.path());
        let of = |choice: Choice, wanted| choice.newest(&installed, wanted).unwrap().release.as_str();
        let later = || Choice { machine: Debian::of_kernel(LATER[0]).unwrap() };
        assert_eq!(of(choice(), "6.12"), OWN);
        assert_eq!(of(choice(), LATER[0]), LATER[0]);
        assert_eq!(of(choice(), "7.3"), LATER[1]);
        assert_eq!(of(later(), "6.12"), LATER[0]);

        let nearest = |choice: Choice, running| choice.nearest(&installed, running).unwrap().release.as_str();
        assert_eq!(nearest(choice(), "6.18.44"), OWN);
        assert_eq!(nearest(choice(), "6.1.0-50-amd64"), OLDER);
        assert_eq!(nearest(choice(), LATER[1]), LATER[1]);
        assert_eq!(nearest(later(), "6.12.100+deb13-amd64"), LATER[0]);
        assert_eq!(nearest(later(), "6.18.44"), LATER[1]);
    }

    #[test]
    fn what_a_place_has() {
        let root = tempfile::tempdir().unwrap();
        add(root.path(), "1", true, false);
        add(root.path(), "2", false, true);
        add(root.path(), "3", true, true);
        let having = |parts| {
            let mut installed = installed(root.path());
            installed.retain(|kernel| kernel.has(parts));
            releases(&installed)
        };
        assert_eq!(having(KernelParts::Headers), ["3", "1"]);
        assert_eq!(having(KernelParts::Image), ["3"]);
    }

    #[test]
    fn the_bootable_one_of_the_same_release() {
        let (plain, bootable) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        add(plain.path(), "6.12", true, false);
        add(bootable.path(), "6.12", true, true);
        for order in [[&plain, &bootable], [&bootable, &plain]] {
            let installed: Vec<_> = order.iter().flat_map(|root| installed(root.path())).collect();
            assert!(choice().newest(&installed, "6.12").unwrap().has_image());
        }
    }

    #[test]
    fn a_kernel_without_livepatch_is_refused() {
        let root = tempfile::tempdir().unwrap();
        add(root.path(), "6.12", true, true);
        let error = installed(root.path())[0].open().unwrap_err();
        assert!(error.to_string().contains("CONFIG_LIVEPATCH=y"), "{error}");
    }
}
