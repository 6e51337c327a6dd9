//! Says how to get what is missing.

use super::checks::{Check, Fix};
use crate::error::Error;
use crate::host::distribution::Distribution;

/// The error for what is missing, if anything is.
pub(super) fn complaint(checks: &[Check], distribution: &Distribution) -> Option<Error> {
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
            Fix::Kernel(wanted) | Fix::DebugInfo(wanted) | Fix::Source(wanted) | Fix::KernelCrate(wanted) => {
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
    let kernel_crate = option(" --kernel-crate", |fix| matches!(fix, Fix::KernelCrate(_)));
    format!("run `cargo klp doctor --fix{debug_info}{source}{kernel_crate}{}`", kernels.concat())
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
    steps.extend(of("build on Debian, where klp can make the `kernel` crate of Debian's kernels", |fix| {
        matches!(fix, Fix::KernelCrate(_))
    }));
    for (wanted, _) in foreign {
        steps.push(format!(
            "install the headers and the image of kernel {wanted}, for which klp knows no package of {}, or name its \
             build directory with `--kdir`",
            distribution.name()
        ));
    }
    steps.join("; ")
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
    fn the_help_asks_for_the_kernel_crate() {
        let checks = [check(None, Fix::KernelCrate("7.3".into())), check(None, Fix::Package("flex".into()))];
        let help = |distribution: &Distribution| complaint(&checks, distribution).unwrap().help().unwrap();
        assert_eq!(help(&debian()), "run `cargo klp doctor --fix --kernel-crate --kernel 7.3`");
        assert!(help(&Distribution::of("ID=fedora\n")).contains("build on Debian"));
    }

    #[test]
    fn what_only_the_user_can_change_comes_first() {
        let checks = [check(None, Fix::Package("make".into())), check(None, Fix::User("buy one"))];
        assert_eq!(complaint(&checks, &debian()).unwrap().help().unwrap(), "buy one");
    }
}
