//! The version of a kernel's source, which a distribution's release may not tell: Debian's `6.1.0-56-amd64` is 6.1.192.

use std::fs;

use klp_format::condition::Release;

use super::Kernel;
use crate::error::{Error, Result};

/// The version, from the headers; a release candidate's number is in the release.
///
/// # Errors
///
/// Neither the headers nor the release have one.
pub fn of(kernel: &Kernel) -> Result<Release> {
    let header = kernel.kdir.join("include/generated/uapi/linux/version.h");
    let text = fs::read_to_string(&header).unwrap_or_default();
    version(&text, &kernel.release).ok_or_else(|| Error::NotAKernelDir {
        path: kernel.kdir.clone(),
        why: format!("`{}` does not have the version of its source", header.display()),
    })
}

fn version(header: &str, release: &str) -> Option<Release> {
    let value = |name: &str| {
        let mut lines = header.lines().filter_map(|line| line.strip_prefix("#define LINUX_VERSION_"));
        lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    let of_header = || Some([value("MAJOR")?, value("PATCHLEVEL")?, value("SUBLEVEL")?]);
    let of_release = || {
        let plain = release.split(|letter: char| letter != '.' && !letter.is_ascii_digit()).next()?;
        let mut numbers = plain.split('.').map_while(|number| number.parse().ok());
        Some([numbers.next()?, numbers.next()?, numbers.next().unwrap_or(0)])
    };
    let candidate = release.split(['-', '~', '+']).find_map(|part| part.strip_prefix("rc")?.parse().ok());
    Some(Release { numbers: of_header().or_else(of_release)?, candidate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_distributions_kernel() {
        let header = "#define LINUX_VERSION_CODE 393664\n#define LINUX_VERSION_MAJOR 6\n\
                      #define LINUX_VERSION_PATCHLEVEL 1\n#define LINUX_VERSION_SUBLEVEL 192\n";
        let of = |header, release| version(header, release).unwrap().to_string();
        assert_eq!(of(header, "6.1.0-56-amd64"), "6.1.192");
        assert_eq!(of("", "6.12.117+deb12-amd64"), "6.12.117");
        assert_eq!(of("", "7.1.0-rc3+"), "7.1-rc3");
        assert_eq!(of("", "7.1~rc3-amd64"), "7.1-rc3");
        assert_eq!(version("", "next"), None);
    }
}
