//! What the release of a kernel, the output of `uname -r`, says of it: its series, its flavour and who built it.

/// The first two numbers of a release.
pub(super) fn series(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-', '+']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether a release is the wanted one, or belongs to the wanted series.
pub fn matches(release: &str, wanted: &str) -> bool {
    release.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+', '~']))
}

/// Whether a release is of a flavour that one must ask for by the whole release: another preemption model, or fewer
/// drivers, or checkers. Debian has `6.12.117+deb12-rt-amd64`, RHEL `6.12.0-55.el10.x86_64+debug`.
pub(super) fn is_special(release: &str) -> bool {
    const FLAVOURS: [&str; 3] = ["cloud", "debug", "rt"];
    release.split(['-', '+']).skip(1).any(|part| {
        // The patches for PREEMPT_RT number their versions: `-rt4`.
        FLAVOURS.contains(&part.trim_end_matches(|letter: char| letter.is_ascii_digit()))
    })
}

/// Whether a release is one of Debian's plain kernels for x86-64: `6.1.0-56-amd64`, and since 2024
/// `6.12.117+deb12-amd64`.
pub(super) fn is_debians(release: &str) -> bool {
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    let Some(rest) = release.strip_suffix("-amd64") else { return false };
    let Some((version, build)) = rest.split_once(['+', '-']) else { return false };
    let build = if rest[version.len()..].starts_with('+') { build.strip_prefix("deb") } else { Some(build) };
    version.split('.').all(is_number) && build.is_some_and(is_number)
}

/// Whether a release is that of the debug kernel that this project's tests build.
pub(super) fn is_debug_kernel(release: &str) -> bool {
    release.ends_with("-klp-debug")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_no_prefix() {
        assert!(matches("6.1.0-56-amd64", "6.1"));
        assert!(!matches("6.12.117+deb12-amd64", "6.1"));
        assert_eq!(series("6.12.117+deb12-amd64"), Some((6, 12)));
        assert_eq!(series("5.10.0-30-amd64"), Some((5, 10)));
        assert_eq!(series("7.2-rc1+"), Some((7, 2)));
        assert_eq!(series("next"), None);
        assert!(matches("6.12.117+deb12-amd64", "6.12.117"));
        assert!(matches("6.12.117+deb12-amd64", "6.12.117+deb12-amd64"));
    }

    #[test]
    fn flavours_are_told_from_plain_kernels() {
        for special in [
            "6.12.117+deb12-rt-amd64",
            "6.12.117+deb12-cloud-amd64",
            "6.1.0-56-rt-amd64",
            "6.12.8-rt4",
            "6.12.0-55.el10.x86_64+debug",
            "5.14.0-503.el9.x86_64+rt",
        ] {
            assert!(is_special(special), "{special}");
        }
        for plain in [
            "6.12.117+deb12-amd64",
            "6.1.0-56-amd64",
            "6.8.0-31-generic",
            "6.12.0-160000.5-default",
            "6.12.0-55.el10.x86_64",
            "6.12.8-robert",
        ] {
            assert!(!is_special(plain), "{plain}");
        }
    }

    #[test]
    fn only_debians_own_builds_are_debians() {
        for debians in ["6.12.117+deb12-amd64", "7.3.4+deb13-amd64", "6.1.0-56-amd64"] {
            assert!(is_debians(debians), "{debians}");
        }
        for other in [
            "6.12.0-55.el10.x86_64",
            "6.12.117+deb12-rt-amd64",
            "6.12.117+deb12-cloud-amd64",
            "6.12.117-klp-debug",
            "6.12.9-1-liquorix-amd64",
            "6.12.9+mine-amd64",
            "6.12.9-amd64",
            "6.12-rc1+deb12-amd64",
        ] {
            assert!(!is_debians(other), "{other}");
        }
    }
}
