//! The distribution that this machine runs: what installs packages there, and what these are called.

use std::borrow::Cow;
use std::fs;

/// Distributions that have the same package manager and the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Debian,
    Ubuntu,
    Fedora,
    /// RHEL, and what is made of it.
    Rhel,
    Amazon,
    Suse,
}

impl Family {
    /// Whether a release has the form of its kernels' releases.
    fn is_own(self, release: &str) -> bool {
        let (version, flavour) = release.rsplit_once('-').unwrap_or((release, ""));
        let is_number =
            |text: &str| text.chars().all(|letter| letter.is_ascii_digit() || ".-".contains(letter));
        let is_word = |text: &str| text.starts_with(|letter: char| letter.is_ascii_alphabetic());
        match self {
            Self::Debian => is_word(flavour) && (version.contains("+deb") || is_number(version)),
            Self::Ubuntu => is_word(flavour) && is_number(version),
            Self::Fedora => release.contains(".fc"),
            // Oracle's `uek` has packages of other names.
            Self::Rhel => release.contains(".el") && !release.contains("uek"),
            Self::Amazon => release.contains(".amzn"),
            Self::Suse => SUSE_FLAVOURS.contains(&flavour) && is_number(version),
        }
    }
}

/// The flavours of SUSE's kernels for x86-64: a release ends in one, as on Debian in that of the processor.
const SUSE_FLAVOURS: [&str; 6] = ["default", "rt", "azure", "debug", "kvmsmall", "longterm"];

/// The names of families in `ID` and `ID_LIKE` of os-release.
const IDS: [(&str, Family); 12] = [
    ("debian", Family::Debian),
    ("ubuntu", Family::Ubuntu),
    ("fedora", Family::Fedora),
    ("rhel", Family::Rhel),
    ("centos", Family::Rhel),
    // Oracle Linux says only that it is like Fedora.
    ("ol", Family::Rhel),
    ("amzn", Family::Amazon),
    ("suse", Family::Suse),
    ("opensuse", Family::Suse),
    ("sles", Family::Suse),
    ("opensuse-leap", Family::Suse),
    ("opensuse-tumbleweed", Family::Suse),
];

/// What a package is called elsewhere; `None` where the distribution itself has no package of it.
struct Package {
    debian: &'static str,
    fedora: Option<&'static str>,
    rhel: Option<&'static str>,
    amazon: Option<&'static str>,
    suse: Option<&'static str>,
}

const fn package(debian: &'static str, [fedora, rhel, amazon, suse]: [Option<&'static str>; 4]) -> Package {
    Package { debian, fedora, rhel, amazon, suse }
}

/// Those that have other names outside Debian. RHEL has QEMU by another name only, which klp does not call.
const PACKAGES: [Package; 5] = [
    package("pahole", [Some("dwarves"); 4]),
    package(
        "libelf1",
        [Some("elfutils-libelf"), Some("elfutils-libelf"), Some("elfutils-libelf"), Some("libelf1")],
    ),
    package("qemu-system-x86", [Some("qemu-system-x86"), None, None, Some("qemu-x86")]),
    package("busybox-static", [Some("busybox"), None, None, Some("busybox-static")]),
    package("g++", [Some("gcc-c++"); 4]),
];

/// Packages that Debian has for each version of LLVM, which ends their names.
const LLVM: [&str; 3] = ["clang", "lld", "llvm"];

/// A distribution.
#[derive(Clone, Debug)]
pub struct Distribution {
    name: String,
    family: Option<Family>,
}

impl Distribution {
    /// The one that this machine runs.
    pub fn of_this_machine() -> Self {
        Self::of(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    /// The one that the text of an os-release file describes.
    pub fn of(os_release: &str) -> Self {
        let value = |key: &str| {
            let mut lines = os_release.lines();
            lines.find_map(|line| Some(line.strip_prefix(key)?.strip_prefix('=')?.trim_matches(['"', '\''])))
        };
        let ids = [value("ID"), value("ID_LIKE")];
        let mut ids = ids.into_iter().flatten().flat_map(str::split_whitespace);
        let family = ids.find_map(|id| IDS.iter().find(|(known, _)| *known == id)).map(|(_, family)| *family);
        let name = value("PRETTY_NAME").or(value("NAME")).unwrap_or("this system").to_owned();
        Self { name, family }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is Debian itself, from which klp fetches kernels.
    pub fn is_debian(&self) -> bool {
        self.family == Some(Family::Debian)
    }

    /// The command that installs packages, whose names are Debian's, and those that it has none of.
    pub fn install(&self, packages: &[&str]) -> (Option<String>, Vec<String>) {
        let (mut names, mut unknown) = (Vec::new(), Vec::new());
        for package in packages {
            match self.package(package) {
                Some(name) => names.push(name),
                None => unknown.push((*package).to_owned()),
            }
        }
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let command = if names.is_empty() { None } else { self.command(&names) };
        (command, unknown)
    }

    /// The command that installs packages by the distribution's own names; `None` if klp does not know it.
    pub fn command(&self, packages: &[&str]) -> Option<String> {
        let list = packages.join(" ");
        Some(match self.family? {
            Family::Debian | Family::Ubuntu => {
                format!("sudo apt-get update && sudo apt-get install --no-install-recommends {list}")
            }
            Family::Fedora | Family::Rhel | Family::Amazon => format!("sudo dnf install {list}"),
            Family::Suse => format!("sudo zypper install {list}"),
        })
    }

    /// The packages with the headers, and with the image and the modules, of one of its own kernels: a release, or a
    /// series for the newest one. `None` for the release of another distribution.
    pub fn kernel(&self, wanted: &str) -> Option<[String; 2]> {
        let family = self.family?;
        let is_release = wanted.contains('-');
        if is_release && !family.is_own(wanted) {
            return None;
        }
        let both = |headers: &str, image: &str| {
            [headers, image].map(|name| if is_release { format!("{name}-{wanted}") } else { name.to_owned() })
        };
        Some(match family {
            Family::Debian if !is_release => ["linux-headers-amd64".into(), "linux-image-amd64".into()],
            Family::Ubuntu if !is_release => ["linux-headers-generic".into(), "linux-image-generic".into()],
            Family::Debian | Family::Ubuntu => both("linux-headers", "linux-image"),
            Family::Fedora | Family::Rhel => match wanted.split_once('+') {
                // The release of a flavour ends in its name: that of kernel-debug is `…x86_64+debug`.
                Some((release, flavour)) => {
                    ["-devel", ""].map(|of| format!("kernel-{flavour}{of}-{release}"))
                }
                None => both("kernel-devel", "kernel"),
            },
            // The packages of the first series that it had have no number.
            Family::Amazon if wanted == "6.1" || wanted.starts_with("6.1.") => both("kernel-devel", "kernel"),
            Family::Amazon => {
                let series = wanted.split('.').take(2).collect::<Vec<_>>().join(".");
                both(&format!("kernel{series}-devel"), &format!("kernel{series}"))
            }
            Family::Suse => match wanted.rsplit_once('-') {
                Some((version, flavour)) => {
                    ["-devel", ""].map(|of| format!("kernel-{flavour}{of}={version}"))
                }
                None => ["kernel-default-devel".into(), "kernel-default".into()],
            },
        })
    }

    /// Its name for a package of Debian.
    fn package<'a>(&self, debian: &'a str) -> Option<Cow<'a, str>> {
        let family = self.family?;
        if let Some((name, version)) = debian.rsplit_once('-')
            && LLVM.contains(&name)
        {
            return match family {
                Family::Debian | Family::Ubuntu => Some(debian.into()),
                Family::Fedora | Family::Suse => Some(format!("{name}{version}").into()),
                // They have one version at a time.
                Family::Rhel | Family::Amazon => None,
            };
        }
        let Some(package) = PACKAGES.iter().find(|package| package.debian == debian) else {
            return Some(debian.into());
        };
        let name = match family {
            Family::Debian | Family::Ubuntu => Some(package.debian),
            Family::Fedora => package.fedora,
            Family::Rhel => package.rhel,
            Family::Amazon => package.amazon,
            Family::Suse => package.suse,
        };
        name.map(Cow::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of os-release files, as the distributions have them.
    const MACHINES: [(&str, &str); 9] = [
        ("debian", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n"),
        ("ubuntu", "PRETTY_NAME=\"Ubuntu 24.04 LTS\"\nID=ubuntu\nID_LIKE=debian\n"),
        ("mint", "NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"),
        ("fedora", "NAME=\"Fedora Linux\"\nID=fedora\n"),
        ("rhel", "ID=\"rhel\"\nID_LIKE=\"centos fedora\"\n"),
        ("alma", "PRETTY_NAME=\"AlmaLinux 10.0\"\nID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\n"),
        ("amazon", "NAME=\"Amazon Linux\"\nID=\"amzn\"\nID_LIKE=\"fedora\"\n"),
        ("leap", "NAME=\"openSUSE Leap\"\nID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n"),
        ("sles", "NAME=\"SLES\"\nID=\"sles\"\nID_LIKE=\"suse\"\n"),
    ];

    fn machine(name: &str) -> Distribution {
        Distribution::of(MACHINES.iter().find(|(known, _)| *known == name).unwrap().1)
    }

    #[test]
    fn each_distribution_is_told_in_its_own_words_what_to_install() {
        let wanted = ["make", "pahole", "libelf1", "qemu-system-x86"];
        for (name, command, unknown) in [
            (
                "debian",
                "sudo apt-get update && sudo apt-get install --no-install-recommends make pahole libelf1 \
                 qemu-system-x86",
                &[][..],
            ),
            ("fedora", "sudo dnf install make dwarves elfutils-libelf qemu-system-x86", &[]),
            ("rhel", "sudo dnf install make dwarves elfutils-libelf", &["qemu-system-x86"]),
            ("alma", "sudo dnf install make dwarves elfutils-libelf", &["qemu-system-x86"]),
            ("amazon", "sudo dnf install make dwarves elfutils-libelf", &["qemu-system-x86"]),
            ("leap", "sudo zypper install make dwarves libelf1 qemu-x86", &[]),
            ("sles", "sudo zypper install make dwarves libelf1 qemu-x86", &[]),
        ] {
            let (said, not_there) = machine(name).install(&wanted);
            assert_eq!(said.as_deref(), Some(command), "{name}");
            assert_eq!(not_there, unknown, "{name}");
        }
        let ubuntu = machine("ubuntu").install(&wanted);
        assert_eq!(
            (ubuntu.clone(), ubuntu),
            (machine("debian").install(&wanted), machine("mint").install(&wanted))
        );
    }

    #[test]
    fn a_version_of_llvm_has_packages_of_its_own() {
        for (name, command) in [
            (
                "debian",
                "sudo apt-get update && sudo apt-get install --no-install-recommends clang-19 lld-19 llvm-19",
            ),
            ("fedora", "sudo dnf install clang19 lld19 llvm19"),
            ("leap", "sudo zypper install clang19 lld19 llvm19"),
        ] {
            let (said, unknown) = machine(name).install(&["clang-19", "lld-19", "llvm-19"]);
            assert_eq!((said.as_deref(), unknown.len()), (Some(command), 0), "{name}");
        }
        for name in ["alma", "amazon"] {
            assert_eq!(machine(name).install(&["clang-19"]), (None, vec!["clang-19".to_owned()]), "{name}");
        }
    }

    #[test]
    fn a_kernel_comes_with_the_distributions_own_packages() {
        for (name, wanted, packages) in [
            (
                "debian",
                "6.12.117+deb12-amd64",
                ["linux-headers-6.12.117+deb12-amd64", "linux-image-6.12.117+deb12-amd64"],
            ),
            ("debian", "6.1.0-56-amd64", ["linux-headers-6.1.0-56-amd64", "linux-image-6.1.0-56-amd64"]),
            (
                "ubuntu",
                "6.8.0-31-generic",
                ["linux-headers-6.8.0-31-generic", "linux-image-6.8.0-31-generic"],
            ),
            ("ubuntu", "6.8", ["linux-headers-generic", "linux-image-generic"]),
            (
                "fedora",
                "6.14.5-300.fc42.x86_64",
                ["kernel-devel-6.14.5-300.fc42.x86_64", "kernel-6.14.5-300.fc42.x86_64"],
            ),
            (
                "alma",
                "6.12.0-55.9.1.el10_0.x86_64",
                ["kernel-devel-6.12.0-55.9.1.el10_0.x86_64", "kernel-6.12.0-55.9.1.el10_0.x86_64"],
            ),
            (
                "alma",
                "6.12.0-55.9.1.el10_0.x86_64+debug",
                [
                    "kernel-debug-devel-6.12.0-55.9.1.el10_0.x86_64",
                    "kernel-debug-6.12.0-55.9.1.el10_0.x86_64",
                ],
            ),
            ("alma", "6.12", ["kernel-devel", "kernel"]),
            (
                "amazon",
                "6.1.112-122.189.amzn2023.x86_64",
                ["kernel-devel-6.1.112-122.189.amzn2023.x86_64", "kernel-6.1.112-122.189.amzn2023.x86_64"],
            ),
            (
                "amazon",
                "6.12.20-23.97.amzn2023.x86_64",
                [
                    "kernel6.12-devel-6.12.20-23.97.amzn2023.x86_64",
                    "kernel6.12-6.12.20-23.97.amzn2023.x86_64",
                ],
            ),
            (
                "sles",
                "6.12.0-160000.5-default",
                ["kernel-default-devel=6.12.0-160000.5", "kernel-default=6.12.0-160000.5"],
            ),
            ("sles", "6.12", ["kernel-default-devel", "kernel-default"]),
        ] {
            assert_eq!(machine(name).kernel(wanted), Some(packages.map(str::to_owned)), "{name}, {wanted}");
        }
    }

    /// No distribution has a package of another one's kernel, nor of one's own.
    #[test]
    fn a_foreign_release_has_no_package() {
        let releases = [
            ("debian", "6.12.117+deb12-amd64"),
            ("ubuntu", "6.8.0-31-generic"),
            ("fedora", "6.14.5-300.fc42.x86_64"),
            ("alma", "6.12.0-55.9.1.el10_0.x86_64"),
            ("amazon", "6.12.20-23.97.amzn2023.x86_64"),
            ("sles", "6.12.0-160000.5-default"),
            ("nobody", "6.12.117-klp+debug"),
        ];
        for (at, release) in releases {
            for name in ["fedora", "alma", "amazon", "sles"].into_iter().filter(|name| *name != at) {
                assert_eq!(machine(name).kernel(release), None, "{name}, {release}");
            }
        }
    }

    #[test]
    fn an_unknown_system_has_no_command() {
        for text in ["", "ID=arch\n", "ID=nixos\nID_LIKE=\"\"\n"] {
            let unknown = Distribution::of(text);
            assert_eq!(unknown.command(&["make"]), None, "{text}");
            assert_eq!(unknown.kernel("6.12"), None, "{text}");
            assert!(!unknown.is_debian(), "{text}");
        }
        assert_eq!(Distribution::of("").name(), "this system");
    }
}
