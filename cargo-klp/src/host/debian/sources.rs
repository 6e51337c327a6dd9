//! apt's sources for a release of Debian, from the mirrors of this machine.

use std::fs;
use std::path::PathBuf;

use super::release::Debian;

const ARCHIVE: &str = "http://deb.debian.org/debian";
const SECURITY: &str = "http://deb.debian.org/debian-security";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The address of a Debian release's archive: the mirror that this machine's own sources name, or else Debian's.
pub fn archive(codename: &str) -> String {
    mirror(&system_sources(), codename, Debian::of_this_machine().codename()).unwrap_or(ARCHIVE).to_owned()
}

/// apt's sources for a Debian release and its security updates, from this machine's mirrors.
pub fn sources(codename: &str) -> String {
    of_architecture(codename, "amd64")
}

/// As [`sources`], for machines of an architecture.
pub(super) fn of_architecture(codename: &str, architecture: &str) -> String {
    let system = system_sources();
    let own = format!("{}-security", Debian::of_this_machine().codename());
    let security = format!("{codename}-security");
    let security_archive = mirror(&system, &security, &own).unwrap_or(SECURITY);
    [(&*archive(codename), codename), (security_archive, &security)]
        .map(|(uri, suite)| stanza(uri, suite, architecture))
        .join("\n")
}

/// As [`sources`], and with backports where these have kernels.
pub(super) fn with_kernels(debian: Debian) -> String {
    let codename = debian.codename();
    let backports =
        debian.has_backports().then(|| stanza(&archive(codename), &format!("{codename}-backports"), "amd64"));
    std::iter::once(sources(codename)).chain(backports).collect::<Vec<_>>().join("\n")
}

/// apt's sources for one suite.
pub(super) fn of_suite(suite: &str) -> String {
    stanza(ARCHIVE, suite, "amd64")
}

/// The mirror of a suite, or else that of this machine's own suite, which has all releases.
fn mirror<'a>(sources: &'a str, suite: &str, own: &str) -> Option<&'a str> {
    source_uri(sources, suite).or_else(|| source_uri(sources, own))
}

/// The text of the system's own apt sources, which may name a mirror.
fn system_sources() -> String {
    let parts =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|part| part.path());
    let named = |path: &PathBuf| path.extension().is_some_and(|e| e == "sources" || e == "list");
    std::iter::once(PathBuf::from("/etc/apt/sources.list"))
        .chain(parts.filter(named))
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// The URI that `sources`, in either of apt's formats, give for the suite.
fn source_uri<'a>(sources: &'a str, suite: &str) -> Option<&'a str> {
    let deb822 = || {
        sources.split("\n\n").find_map(|stanza| {
            let field = |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key));
            field("Suites:")?.split_whitespace().find(|word| *word == suite)?;
            field("URIs:")?.split_whitespace().next()
        })
    };
    let one_line = || {
        sources.lines().find_map(|line| {
            let mut words =
                line.strip_prefix("deb ")?.split_whitespace().skip_while(|word| !word.contains("://"));
            let uri = words.next()?;
            (words.next()? == suite).then_some(uri)
        })
    };
    deb822().or_else(one_line)
}

fn stanza(uri: &str, suite: &str, architecture: &str) -> String {
    format!(
        "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nArchitectures: {architecture}\nSigned-By: {KEYRING}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_of_a_deb822_source() {
        let sources = "Types: deb\n# a comment\nURIs: http://mirror/debian\nSuites: bookworm bookworm-updates\n\nTypes: deb\nURIs: http://mirror/security\nSuites: bookworm-security\n";
        assert_eq!(source_uri(sources, "bookworm"), Some("http://mirror/debian"));
        assert_eq!(source_uri(sources, "bookworm-security"), Some("http://mirror/security"));
        assert_eq!(source_uri(sources, "trixie"), None);
        assert_eq!(mirror(sources, "trixie", "bookworm"), Some("http://mirror/debian"));
    }

    #[test]
    fn mirror_of_a_one_line_source() {
        let sources = "# deb http://no/debian bookworm main\ndeb [signed-by=/k.gpg] http://mirror/debian bookworm main contrib\n";
        assert_eq!(source_uri(sources, "bookworm"), Some("http://mirror/debian"));
    }
}
