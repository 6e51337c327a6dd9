//! The releases of Debian that klp gets kernels from.

use std::fs;

/// A release of Debian. A later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Debian {
    /// 12 for bookworm.
    number: u32,
    codename: &'static str,
    has_backports: bool,
}

/// Those with kernels from 6.1 on. The backports of Debian 12 have no kernel that its security updates lack.
const RELEASES: [Debian; 2] = [
    Debian { number: 12, codename: "bookworm", has_backports: false },
    Debian { number: 13, codename: "trixie", has_backports: true },
];

impl Debian {
    /// The one that this machine runs; the first one on a machine that does not run Debian, the last one on a machine
    /// with a later Debian than klp knows.
    pub fn of_this_machine() -> Self {
        of_os_release(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    /// The one whose kernel has this release: `6.12.118+deb13-amd64` is one of Debian 13. Older releases do not tell.
    pub fn of_kernel(release: &str) -> Option<Self> {
        let number = release.split(['+', '-', '~']).find_map(|part| part.strip_prefix("deb")?.parse().ok());
        RELEASES.into_iter().find(|debian| Some(debian.number) == number)
    }

    /// Those that may have a wanted kernel, a release or a series: first that of this machine.
    pub fn with_kernel(wanted: &str) -> Vec<Self> {
        let this = Self::of_this_machine();
        match Self::of_kernel(wanted) {
            Some(one) => vec![one],
            None => RELEASES.into_iter().filter(|debian| *debian >= this).collect(),
        }
    }

    /// Its code name.
    pub fn codename(self) -> &'static str {
        self.codename
    }

    /// Whether its backports have kernels of their own.
    pub(super) fn has_backports(self) -> bool {
        self.has_backports
    }
}

impl std::fmt::Display for Debian {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Debian {}", self.number)
    }
}

fn of_os_release(text: &str) -> Debian {
    let value = |key: &str| {
        text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix('=')?.trim_matches('"')))
    };
    let [first, .., last] = RELEASES;
    if value("ID") != Some("debian") {
        return first;
    }
    let known = RELEASES.into_iter().find(|debian| Some(debian.codename) == value("VERSION_CODENAME"));
    known.unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debian_of_a_machine() {
        let of = |text| of_os_release(text).codename;
        assert_eq!(of("ID=debian\nVERSION_CODENAME=bookworm\n"), "bookworm");
        assert_eq!(of("PRETTY_NAME=\"Debian 13\"\nVERSION_CODENAME=\"trixie\"\nID=debian\n"), "trixie");
        assert_eq!(of("ID=debian\nVERSION_CODENAME=forky\n"), "trixie");
        assert_eq!(of("ID=ubuntu\nVERSION_CODENAME=noble\n"), "bookworm");
        assert_eq!(of(""), "bookworm");
    }

    #[test]
    fn the_debian_of_a_kernel() {
        let of = |release| Debian::of_kernel(release).map(Debian::codename);
        assert_eq!(of("6.12.117+deb12-amd64"), Some("bookworm"));
        assert_eq!(of("7.3.4+deb13-amd64"), Some("trixie"));
        assert_eq!(of("7.3.4+deb13-rt-amd64"), Some("trixie"));
        assert_eq!(of("6.1.0-56-amd64"), None);
        assert_eq!(of("7.3"), None);
    }

    #[test]
    fn later_debians_are_asked_after_this_machines() {
        assert_eq!(Debian::with_kernel("6.12.117+deb12-amd64"), [RELEASES[0]]);
        assert_eq!(Debian::with_kernel("7.3").first(), Some(&Debian::of_this_machine()));
        assert_eq!(Debian::with_kernel("7.3").last(), Some(&RELEASES[1]));
        assert!(Debian::with_kernel("7.3").is_sorted());
    }
}
