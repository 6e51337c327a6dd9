//! `cargo klp doctor`: what this machine has and lacks for building and running patches.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anstyle::{AnsiColor, Style};

use super::args::MessageFormat;
use super::ui::{self, Terminal};
use crate::error::{Error, Result};
use crate::host::debian;
use crate::host::distribution::Distribution;
use crate::host::tools::{find_program, run_tool};
use crate::kbuild::flags::rustflags;
use crate::kernel::debug_info::DebugInfo;
use crate::kernel::symbols::{Symbols, VMLINUX, image_file};

use crate::kernel::{
    self, DEFAULT_SERIES, Kernel, KernelParts, KernelQuery, Target, btf, debug_info, source,
};
use crate::vm;

/// Arguments of `cargo klp doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp doctor                              list what is here and what is missing
  cargo klp doctor --fix                        install what is missing, with a 6.12 kernel
  cargo klp doctor --fix --kernel 6.1           with the newest 6.1 kernel
  cargo klp doctor --fix --kernel 6.12.117+deb12-amd64
  cargo klp doctor --fix --kernel 7.3           with one of a later Debian, and what builds for it
  cargo klp doctor --kdir ~/linux               can patches be built for a kernel of one's own?
  cargo klp doctor --fix --debug-info           with debug information (1 GB)
  cargo klp doctor --fix --source               with the source, for `new --diff` (150 MB)

On Debian, tools are installed with apt-get, which needs root. Kernels and the Rust sources go into the cache
(KLP_CACHE, or ~/.cache/klp), as do the compiler and the libraries with which an older Debian builds for the kernels of a
later one: /boot, /lib/modules and the toolchain are not changed. On other distributions nothing is installed: the last
line says with which command of the distribution to get what is missing.

The exit code is 3 if something is missing.")]
pub struct Args {
    /// Install what is missing.
    #[arg(long)]
    pub fix: bool,

    /// A kernel to look for: a release, or a series such as 6.12; may be given several times.
    ///
    /// By default 6.12 on Debian, and the running kernel elsewhere.
    #[arg(long, value_name = "RELEASE")]
    pub kernel: Vec<String>,

    /// The build directory of a kernel to look for, instead of a release: what /lib/modules/RELEASE/build points to.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kernel", "debug_info", "source"])]
    pub kdir: Option<PathBuf>,

    /// Also look for the kernels' debug information, which tells where functions were inlined.
    ///
    /// --fix downloads it from Debian: 1 GB for each kernel, of which 60 MB are kept.
    #[arg(long)]
    pub debug_info: bool,

    /// Also look for the kernels' source, which `cargo klp new --diff` reads.
    ///
    /// --fix downloads it from Debian: 150 MB for each kernel, 1.5 GB unpacked.
    #[arg(long)]
    pub source: bool,

    /// The format of the table.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub message_format: MessageFormat,
}

/// Something that a command needs on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Build patches.
    Build,
    /// Boot kernels.
    Run,
    /// Build for and boot a kernel: a release, or a series such as 6.12.
    Kernel(String),
    /// Build for and boot the kernel of a build directory.
    BuildDir(PathBuf),
    /// Know where the functions of a kernel are inlined.
    DebugInfo(String),
    /// Have the source of a kernel.
    Source(String),
    /// Call a program: its name, the package that has it, and the reason.
    Program(&'static str, &'static str, &'static str),
    /// Read a file: its path, the package that has it, and the reason.
    File(&'static str, &'static str, &'static str),
}

/// Runs the command.
pub fn main(args: &Args) -> Result<ExitCode> {
    let kernels = match &*args.kernel {
        _ if args.kdir.is_some() => Vec::new(),
        [] => vec![default_kernel(&Distribution::of_this_machine())],
        given => given.to_vec(),
    };
    let mut requirements = vec![Requirement::Build, Requirement::Run];
    requirements.extend(kernels.iter().cloned().map(Requirement::Kernel));
    if let Some(kdir) = &args.kdir {
        // What stands in the way of any patch is no matter of packages.
        rustflags(&Kernel::from_kdir(kdir)?)?;
        requirements.push(Requirement::BuildDir(kdir.clone()));
    }
    if args.debug_info {
        requirements.extend(kernels.iter().cloned().map(Requirement::DebugInfo));
    }
    if args.source {
        requirements.extend(kernels.iter().cloned().map(Requirement::Source));
    }
    let fixed = if args.fix { ensure(&requirements) } else { Ok(()) };
    let checks = check(&requirements);
    match args.message_format {
        MessageFormat::Human => print_table(&checks),
        MessageFormat::Json => print_json(&checks),
    }
    fixed?;
    btf::prepare()?;
    complaint(&checks, &Distribution::of_this_machine()).map_or(Ok(ExitCode::SUCCESS), Err)
}

/// The kernel to look for where none is named: klp fetches that of Debian, and others belong to their machine.
fn default_kernel(distribution: &Distribution) -> String {
    if distribution.is_debian() {
        return DEFAULT_SERIES.into();
    }
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Makes sure that the machine meets the requirements, and installs what it lacks.
pub fn ensure(requirements: &[Requirement]) -> Result<()> {
    // A kernel that was just downloaded may ask for a compiler that is not installed yet.
    for _ in 0..2 {
        let checks = check(requirements);
        if checks.iter().all(Check::ok) {
            return btf::prepare();
        }
        fix(&checks)?;
    }
    complaint(&check(requirements), &Distribution::of_this_machine()).map_or_else(btf::prepare, Err)
}

/// One line of the table.
#[derive(Debug, serde::Serialize)]
struct Check {
    /// What the group of lines is for.
    group: &'static str,
    name: String,
    needed_for: &'static str,
    /// Where or in which version it is here.
    found: Option<String>,
    #[serde(skip)]
    fix: Fix,
}

/// How to get what is missing.
#[derive(Debug)]
enum Fix {
    /// Install a package, by Debian's name.
    Package(String),
    RustSrc,
    Kernel(String),
    DebugInfo(String),
    Source(String),
    /// Tell the user to change something that only the user can change.
    User(&'static str),
}

impl Check {
    fn ok(&self) -> bool {
        self.found.is_some()
    }
}

fn check(requirements: &[Requirement]) -> Vec<Check> {
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
        checks.extend(run_checks());
    }
    for requirement in requirements {
        match requirement {
            Requirement::Kernel(wanted) => checks.extend(kernel_checks(wanted)),
            Requirement::BuildDir(kdir) => checks.extend(build_dir_checks(kdir)),
            Requirement::DebugInfo(wanted) => checks.push(debug_info_check(wanted)),
            Requirement::Source(wanted) => checks.push(source_check(wanted)),
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

fn run_checks() -> Vec<Check> {
    let program = |name: &str, needed_for, package: &str, found: Option<PathBuf>| Check {
        group: "run",
        name: name.into(),
        needed_for,
        found: found.map(shown),
        fix: Fix::Package(package.into()),
    };
    vec![
        program(vm::QEMU, "boots kernels", "qemu-system-x86", find_program(vm::QEMU)),
        program("busybox (static)", "starts the guest", "busybox-static", vm::static_busybox().ok()),
        program(
            "insmod, depmod",
            "handles modules",
            "kmod",
            find_program("insmod").and(find_program("depmod")),
        ),
    ]
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
    checks.extend(kernel.as_ref().and_then(compiler_check));
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
    checks.extend(kernel.as_ref().and_then(compiler_check));
    checks
}

fn compiler_check(kernel: &Kernel) -> Option<Check> {
    let (compiler, program) = (kernel.compiler()?, kernel.compiler_program()?);
    Some(Check {
        group: "kernel",
        needed_for: "the compiler that this kernel's Kbuild calls",
        found: find_program(&program).map(shown),
        fix: Fix::Package(compiler.clone()),
        name: compiler,
    })
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

fn shown(path: PathBuf) -> String {
    path.display().to_string()
}

fn fix(checks: &[Check]) -> Result<()> {
    if !Distribution::of_this_machine().is_debian() {
        return Ok(());
    }
    let mut packages = Vec::new();
    let mut others = Vec::new();
    for check in checks.iter().filter(|check| !check.ok()) {
        match &check.fix {
            Fix::Package(package) => packages.push(package.as_str()),
            Fix::User(_) => {}
            other => others.push(other),
        }
    }
    packages.sort_unstable();
    packages.dedup();
    // First what needs no privileges, so that as much as possible is done when apt is refused; but
    // depmod, which a kernel needs, may be in a package.
    let needs_packages_first = packages.contains(&"kmod");
    if needs_packages_first {
        install(&packages)?;
    }
    for fix in others {
        match fix {
            Fix::RustSrc => {
                let library = debian::fetch_rust_src(&Terminal)?;
                ui::status("Unpacked", library.display());
            }
            Fix::Kernel(wanted) => {
                let release = kernel::fetch(wanted, &Terminal)?;
                ui::status("Unpacked", format_args!("kernel {release}"));
            }
            Fix::DebugInfo(wanted) => {
                // A missing kernel has been downloaded by now, so this includes its debug information.
                let kernel = KernelQuery::Release(wanted.clone()).find(KernelParts::Image)?;
                debug_info::fetch(&kernel.into(), &Terminal)?;
            }
            Fix::Source(wanted) => {
                let kernel = KernelQuery::Release(wanted.clone()).find(KernelParts::Headers)?;
                let source = source::fetch(&kernel, &Terminal)?;
                ui::status("Unpacked", source.display());
            }
            Fix::Package(_) | Fix::User(_) => {}
        }
    }
    if !needs_packages_first {
        install(&packages)?;
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !rustix::process::geteuid().is_root() {
        return Err(Error::MissingSome {
            what: packages.iter().map(|package| format!("package {package}")).collect(),
            help: format!("run `sudo apt-get update && sudo apt-get install --no-install-recommends {list}`"),
        });
    }
    let _spinner = ui::spinner("Installing", &list);
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    run_tool(apt_get().args(["-qq", "update"]))?;
    run_tool(apt_get().args(["-qq", "-y", "--no-install-recommends", "install"]).args(packages))
        .map_err(|error| debian::not_downloaded(&list, error))?;
    Ok(())
}

/// The error for what is missing, if anything is.
fn complaint(checks: &[Check], distribution: &Distribution) -> Option<Error> {
    let missing: Vec<_> = checks.iter().filter(|check| !check.ok()).collect();
    if missing.is_empty() {
        return None;
    }
    let by_user = missing.iter().find_map(|check| match check.fix {
        Fix::User(how) => Some(how.to_owned()),
        _ => None,
    });
    let help = by_user.unwrap_or_else(|| match distribution.is_debian() {
        true => fix_of_debian(&missing),
        false => fix_of_another(&missing, distribution),
    });
    Some(Error::MissingSome { what: missing.iter().map(|check| check.name.clone()).collect(), help })
}

/// The command that gets what is missing on Debian.
fn fix_of_debian(missing: &[&Check]) -> String {
    let mut kernels: Vec<_> = missing
        .iter()
        .filter_map(|check| match &check.fix {
            Fix::Kernel(wanted) | Fix::DebugInfo(wanted) | Fix::Source(wanted) => {
                Some(format!(" --kernel {wanted}"))
            }
            _ => None,
        })
        .collect();
    kernels.dedup();
    let option = |option: &'static str, is_of_it: fn(&Fix) -> bool| {
        if missing.iter().any(|check| is_of_it(&check.fix)) { option } else { "" }
    };
    let debug_info = option(" --debug-info", |fix| matches!(fix, Fix::DebugInfo(_)));
    let source = option(" --source", |fix| matches!(fix, Fix::Source(_)));
    format!("run `cargo klp doctor --fix{debug_info}{source}{}`", kernels.concat())
}

/// The commands that get what is missing on another distribution, and what klp knows no package of.
fn fix_of_another(missing: &[&Check], distribution: &Distribution) -> String {
    let of = |fix: &'static str, is_of_it: fn(&Fix) -> bool| {
        missing.iter().any(|check| is_of_it(&check.fix)).then(|| fix.to_owned())
    };
    let packages: Vec<&str> = missing
        .iter()
        .filter_map(|check| if let Fix::Package(package) = &check.fix { Some(&**package) } else { None })
        .collect();
    let (tools, unknown) = distribution.install(&packages);
    let kernels: Vec<&str> = missing
        .iter()
        .filter_map(|check| if let Fix::Kernel(wanted) = &check.fix { Some(&**wanted) } else { None })
        .collect();
    let (known, foreign): (Vec<_>, Vec<_>) = kernels
        .iter()
        .map(|wanted| (*wanted, distribution.kernel(wanted)))
        .partition(|(_, packages)| packages.is_some());
    let packages: Vec<String> = known.into_iter().filter_map(|(_, packages)| packages).flatten().collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let kernels = if packages.is_empty() { None } else { distribution.command(&packages) };
    let commands = [tools, kernels].into_iter().flatten().map(|command| format!("run `{command}`"));
    let mut steps: Vec<String> = commands.collect();
    steps.extend(of("run `rustup component add rust-src`", |fix| matches!(fix, Fix::RustSrc)));
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        steps.push(format!(
            "get {unknown}, by Debian's names: klp knows no package for {}",
            distribution.name()
        ));
    }
    steps.extend(of(
        "give files with debug information by `--debug-info`, and sources by `--source`",
        |fix| matches!(fix, Fix::DebugInfo(_) | Fix::Source(_)),
    ));
    for (wanted, _) in foreign {
        steps.push(format!(
            "install the headers and the image of kernel {wanted}, for which klp knows no package of {}, or name its \
             build directory with `--kdir`",
            distribution.name()
        ));
    }
    steps.join("; ")
}

fn print_table(checks: &[Check]) {
    const OK: Style = AnsiColor::Green.on_default();
    const MISSING: Style = AnsiColor::Red.on_default().bold();
    const HEAD: Style = Style::new().bold();
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut group = "";
    for check in checks {
        if check.group != group {
            group = check.group;
            anstream::println!("{HEAD}{group}{HEAD:#}");
        }
        let Check { name, needed_for, found, .. } = check;
        match found {
            Some(found) if found.is_empty() => anstream::println!("  {OK}ok     {OK:#} {name}"),
            Some(found) => anstream::println!("  {OK}ok     {OK:#} {name:<width$}  {found}"),
            None => anstream::println!("  {MISSING}missing{MISSING:#} {name:<width$}  {needed_for}"),
        }
    }
    let speed =
        if vm::has_kvm() { "kernels run with KVM" } else { "no KVM: kernels are emulated, which is slower" };
    ui::note(speed);
}

fn print_json(checks: &[Check]) {
    for check in checks {
        let line = serde_json::to_string(check).expect("a check is plain data");
        println!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: Option<&str>, fix: Fix) -> Check {
        Check { group: "g", name: "thing".into(), needed_for: "all", found: found.map(str::to_owned), fix }
    }

    fn debian() -> Distribution {
        Distribution::of("ID=debian\n")
    }

    #[test]
    fn other_distributions_have_commands_of_their_own() {
        let release = "6.12.0-55.9.1.el10_0.x86_64";
        let checks = [
            check(None, Fix::Package("pahole".into())),
            check(None, Fix::Package("qemu-system-x86".into())),
            check(None, Fix::Kernel(release.into())),
            check(None, Fix::RustSrc),
        ];
        let alma = "PRETTY_NAME=\"AlmaLinux 10.0\"\nID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\n";
        let help =
            |os_release: &str| complaint(&checks, &Distribution::of(os_release)).unwrap().help().unwrap();
        assert_eq!(
            help(alma),
            format!(
                "run `sudo dnf install dwarves`; run `sudo dnf install kernel-devel-{release} kernel-{release}`; run \
                 `rustup component add rust-src`; get qemu-system-x86, by Debian's names: klp knows no package for AlmaLinux 10.0"
            )
        );
        let unknown = help("ID=arch\nNAME=\"Arch Linux\"\n");
        assert!(unknown.contains("get pahole, qemu-system-x86, by Debian's names"), "{unknown}");
        let by_hand =
            format!("install the headers and the image of kernel {release}, for which klp knows no package");
        assert!(unknown.contains(&by_hand), "{unknown}");
        let suse = help("ID=sles\nNAME=SLES\n");
        assert!(suse.contains("qemu-x86") && suse.contains(&by_hand), "{suse}");
        let kernel = [check(None, Fix::Kernel("6.12".into()))];
        let help = complaint(&kernel, &Distribution::of("")).unwrap().help().unwrap();
        assert!(help.contains("name its build directory with `--kdir`"), "{help}");
    }

    #[test]
    fn a_machine_of_another_distribution_is_asked_for_its_own_kernel() {
        assert_eq!(default_kernel(&debian()), DEFAULT_SERIES);
        let running = rustix::system::uname().release().to_string_lossy().into_owned();
        assert_eq!(default_kernel(&Distribution::of("ID=fedora\n")), running);
    }

    #[test]
    fn nothing_missing_is_no_complaint() {
        assert!(complaint(&[check(Some("here"), Fix::RustSrc)], &debian()).is_none());
    }

    #[test]
    fn the_help_names_the_missing_kernels() {
        let checks =
            [check(None, Fix::Kernel("6.1".into())), check(Some("here"), Fix::Kernel("6.12".into()))];
        let error = complaint(&checks, &debian()).unwrap();
        assert_eq!(error.exit_code(), crate::error::exit::MISSING);
        assert_eq!(error.help().unwrap(), "run `cargo klp doctor --fix --kernel 6.1`");
    }

    #[test]
    fn the_help_asks_for_debug_information() {
        let checks = [check(None, Fix::Kernel("6.1".into())), check(None, Fix::DebugInfo("6.1".into()))];
        let help = complaint(&checks, &debian()).unwrap().help().unwrap();
        assert_eq!(help, "run `cargo klp doctor --fix --debug-info --kernel 6.1`");
    }

    #[test]
    fn what_only_the_user_can_change_comes_first() {
        let checks = [check(None, Fix::Package("make".into())), check(None, Fix::User("buy one"))];
        assert_eq!(complaint(&checks, &debian()).unwrap().help().unwrap(), "buy one");
    }
}
