//! The package of a livepatch: its modules for some kernel releases, where `klp` loads them at boot.
//!
//! The scripts leave all that can go wrong to `klp`: if a patch can't take effect, the installation fails; if it can't be
//! taken back, the package is not removed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::inspect::{inspect, report::Report, signature_fault};
use crate::error::{Error, Result};
use crate::host::package::{File, Machine, Package, Scripts, time};
use crate::host::tools::run_tool;
use crate::kernel::arch::{ALL, Arch};
use crate::kernel::signing::{Certificate, SigningKey};
use crate::kernel::{KernelParts, KernelQuery};

/// What the author decides on.
#[derive(Clone, Debug)]
pub struct Labels {
    /// `Name <address>`.
    pub maintainer: String,
    /// The name of the package; by default that of the series or the module.
    pub name: Option<String>,
    /// The version of the package; by default the revision or the module's version.
    pub version: Option<String>,
}

/// What becomes of signatures.
#[derive(Clone, Debug)]
pub enum Signing {
    /// A signed module is taken as it is.
    Keep,
    /// Only modules are taken that the owner of this certificate has signed.
    Verify(Box<Certificate>),
    /// Each module is signed, after it was stripped.
    Sign(SigningKey),
}

/// The package of modules: the same patch for different kernels.
///
/// # Errors
///
/// One is not a livepatch, or damaged, or not signed as it must be; or they are not one patch.
pub fn package(files: &[PathBuf], labels: &Labels, signing: &Signing) -> Result<Package> {
    let reports = files.iter().map(|file| inspect(file)).collect::<Result<Vec<_>>>()?;
    let patch = reports.first().ok_or_else(|| request("no module is given", "give .ko files"))?;
    let releases = releases(&reports)?;
    let version = version(patch, labels)?;
    let mut contents = Vec::new();
    for ((file, report), release) in files.iter().zip(&reports).zip(&releases) {
        if let Some(fault) = report.faults.first() {
            return Err(request(
                &format!("`{}` must not be loaded: {fault}", file.display()),
                "build it again",
            ));
        }
        let path = format!("usr/lib/klp/{release}/{}.ko", report.name);
        if report.machine != patch.machine {
            return Err(request(
                &format!("`{}` is for another kind of machine than the first module", file.display()),
                "make a package of each",
            ));
        }
        contents.push(File { path, data: data(file, report, release, signing)?, is_program: false });
    }
    let summary = patch.description.as_deref().and_then(|text| text.lines().next());
    Ok(Package {
        name: labels.name.clone().unwrap_or_else(|| name(patch)),
        machine: machine(patch),
        maintainer: labels.maintainer.clone(),
        section: "kernel",
        depends: vec!["klp-tools"],
        summary: summary.map_or_else(|| format!("livepatch {}", patch.name), uncapitalized),
        description: description(patch, &releases),
        change: format!("{} for {}.", patch.name, releases.join(", ")),
        time: time()?,
        license: spdx(patch.license.as_deref().unwrap_or_default()).into(),
        copyright: copyright(patch),
        files: contents,
        scripts: scripts(patch, &releases),
        version,
        ..Package::default()
    })
}

/// The architecture of a module.
fn arch(report: &Report) -> Option<&'static Arch> {
    ALL.into_iter().find(|arch| Some(arch.machine) == report.machine)
}

/// The machines that a patch is for. A module of an unknown one is faulty.
fn machine(patch: &Report) -> Machine {
    let of = |arch: &Arch| Machine { debian: arch.debian, uname: arch.machine };
    arch(patch).map_or_else(Machine::default, of)
}

fn request(message: &str, help: &str) -> Error {
    Error::Request { message: message.into(), help: help.into() }
}

/// The release of each module; all must be the same patch.
fn releases(reports: &[Report]) -> Result<Vec<String>> {
    let series = |report: &Report| report.patch.as_ref().and_then(|patch| patch.series.clone());
    let mut seen = BTreeSet::new();
    for report in reports {
        let first = &reports[0];
        if report.name != first.name || series(report) != series(first) {
            return Err(request(
                &format!("{} and {} are different patches", first.name, report.name),
                "make a package of each",
            ));
        }
        let Some(release) = report.release.clone() else {
            return Err(request(
                &format!("{} does not say which kernel it is built for", report.name),
                "build it again",
            ));
        };
        // They become names of files and words of scripts that root runs.
        if let Some(word) = [&report.name, &release].into_iter().find(|word| !is_word(word)) {
            return Err(request(
                &format!("`{word}` cannot stand in a package"),
                "build the module with another name",
            ));
        }
        if !seen.insert(release.clone()) {
            return Err(request(
                &format!("two of the modules are for {release}"),
                "give one for each kernel",
            ));
        }
    }
    Ok(reports.iter().filter_map(|report| report.release.clone()).collect())
}

/// Whether a text is a plain name, which means itself to a shell and in a path.
fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.+~".contains(letter))
}

/// All revisions of a series have one name: each takes the place of the one before it.
fn name(patch: &Report) -> String {
    let series = patch.patch.as_ref().and_then(|patch| patch.series.as_ref());
    let name = series.map_or(&*patch.name, |series| &*series.name).to_ascii_lowercase();
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    format!("livepatch-{}", words.collect::<Vec<_>>().join("-"))
}

fn version(patch: &Report, labels: &Labels) -> Result<String> {
    let series = patch.patch.as_ref().and_then(|patch| patch.series.as_ref());
    let revision = series.map(|series| series.revision.to_string());
    let version = labels.version.clone().or(revision).or_else(|| patch.version.clone()).unwrap_or("1".into());
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".+~".contains(letter);
    if version.starts_with(|first: char| first.is_ascii_digit()) && version.chars().all(is_plain) {
        return Ok(version);
    }
    Err(request(
        &format!("`{version}` cannot be the version of a package"),
        "give one with `--package-version`: digits and letters, and `.`, `+` and `~`, a digit first",
    ))
}

/// The module as it is installed.
fn data(file: &Path, report: &Report, release: &str, signing: &Signing) -> Result<Vec<u8>> {
    match signing {
        Signing::Sign(key) => {
            let kernel = KernelQuery::Release(release.into()).find(KernelParts::Headers)?;
            return key.sign(&stripped(file, report)?, &kernel);
        }
        Signing::Verify(certificate) => {
            if let Some(fault) = signature_fault(file, certificate)? {
                return Err(request(
                    &format!("`{}` is not signed as it should be: {fault}", file.display()),
                    "`cargo klp sign` signs it, and so does this command with `--key` and `--cert`",
                ));
            }
        }
        Signing::Keep => {}
    }
    // The signature would be lost.
    if report.signed { fs::read(file).map_err(Error::io("read", file)) } else { stripped(file, report) }
}

/// The module without debug information and signature.
fn stripped(file: &Path, report: &Report) -> Result<Vec<u8>> {
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let stripped = directory.path().join("module.ko");
    let strip = arch(report).map_or_else(|| "strip".into(), |arch| arch.tool("strip"));
    run_tool(Command::new(strip).args(["--strip-debug", "-o"]).arg(&stripped).arg(file))?;
    if let Some(fault) = inspect(&stripped)?.faults.first() {
        return Err(request(
            &format!("strip has damaged `{}`: {fault}", file.display()),
            "try another release of binutils",
        ));
    }
    fs::read(&stripped).map_err(Error::io("read", stripped))
}

/// Debian wants a phrase.
fn uncapitalized(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            format!("{}{}", first.to_lowercase(), letters.as_str())
        }
        _ => text.into(),
    }
}

fn description(patch: &Report, releases: &[String]) -> String {
    let mut text = format!(
        "The livepatch {} takes effect when this package is installed, and early at\neach boot, on these kernels:\n",
        patch.name
    );
    for release in releases {
        text.push_str(&format!(" {release}\n"));
    }
    if !patch.fixes.is_empty() {
        text.push_str(&format!("\nIt fixes:\n {}\n", patch.fixes.join("\n ")));
    }
    text
}

fn copyright(patch: &Report) -> String {
    let license = patch.license.as_deref().unwrap_or("unknown");
    let mut text = format!("The livepatch {}\n\nLicense: {license}\n", patch.name);
    for author in &patch.authors {
        text.push_str(&format!("Copyright: {author}\n"));
    }
    text
}

/// The license of a module, as SPDX writes it. The kernel reads "GPL" as GPL-2.0, whether later versions apply or not, and
/// whoever gets a module under two licenses may choose.
fn spdx(license: &str) -> &str {
    if license.starts_with("GPL") || license.starts_with("Dual") { "GPL-2.0-only" } else { license }
}

/// Whether the kernel that runs is that of this system, as the shell asks.
const HAS_KERNEL: &str = "[ -d /run/systemd/system ] && ! systemd-detect-virt --quiet --container";

fn scripts(patch: &Report, releases: &[String]) -> Scripts {
    let name = &patch.name;
    let configure = format!(
        r#"# Nothing is loaded in a chroot or a container, nor where the administrator has turned livepatches off.
if {HAS_KERNEL} && ! grep -qw klp.enable=0 /proc/cmdline; then
    if [ -e "/usr/lib/klp/$(uname -r)/{name}.ko" ]; then
        klp load --as-at-boot ${{KLP_ALLOW_DOWNGRADE:+--allow-downgrade}} {name}
    else
        echo "{name} changes nothing now: this package has it for {releases}, and $(uname -r) runs" >&2
    fi
fi
"#,
        releases = releases.join(", ")
    );
    let uninstall = releases.iter().map(|release| {
        format!(
            "    [ ! -e /usr/lib/klp/{release}/{name}.ko ] || klp uninstall --now --kernel {release} {name} >&2\n"
        )
    });
    let remove = format!(
        r#"# A patch that can't be unloaded now stays installed. An upgrade replaces it, without a gap.
if {HAS_KERNEL}; then
{}fi
"#,
        uninstall.collect::<String>()
    );
    let lost = format!(
        r#"if {HAS_KERNEL} && [ -e "/usr/lib/klp/$(uname -r)/{name}.ko" ]; then
    klp uninstall --now --dry-run {name}
fi
"#
    );
    let refuses_downgrade = patch.patch.as_ref().is_some_and(|patch| patch.series.is_some());
    Scripts { configure, lost, remove, refuses_downgrade }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::inspect::report::{Patch, Series};

    fn report(name: &str, release: &str, revision: Option<u64>) -> Report {
        let series = revision.map(|revision| Series { name: "Net_Core 2".into(), revision });
        let patch = Patch { series, ..Patch::default() };
        Report { name: name.into(), release: Some(release.into()), patch: Some(patch), ..Report::default() }
    }

    fn labels() -> Labels {
        Labels { maintainer: String::new(), name: None, version: None }
    }

    #[test]
    fn a_series_is_one_package_whose_version_is_the_revision() {
        for (module, revision) in [("fix_1", 1), ("fix_2", 2)] {
            let report = report(module, "6.12", Some(revision));
            assert_eq!(name(&report), "livepatch-net-core-2");
            assert_eq!(version(&report, &labels()).unwrap(), revision.to_string());
            assert!(scripts(&report, &[]).refuses_downgrade);
        }
        let mut alone = report("fix_x", "6.12", None);
        assert_eq!(name(&alone), "livepatch-fix-x");
        assert_eq!(version(&alone, &labels()).unwrap(), "1");
        assert!(!scripts(&alone, &[]).refuses_downgrade);
        alone.version = Some("1-2".into());
        assert!(version(&alone, &labels()).is_err());
    }

    #[test]
    fn only_one_patch_goes_into_a_package() {
        let of = |reports: &[Report]| releases(reports).map_err(|error| error.to_string());
        assert_eq!(of(&[report("a", "6.1", None), report("a", "6.12", None)]).unwrap(), ["6.1", "6.12"]);
        for (other, why) in [
            (report("b", "6.12", None), "a and b are different patches"),
            (report("a", "6.12", Some(1)), "a and a are different patches"),
            (report("a", "6.1", None), "two of the modules are for 6.1"),
            (report("a", "../x", None), "`../x` cannot stand in a package"),
            (report("a", "6.1 ; reboot", None), "`6.1 ; reboot` cannot stand in a package"),
        ] {
            assert_eq!(of(&[report("a", "6.1", None), other]).unwrap_err(), why);
        }
    }

    #[test]
    fn a_summary_is_a_phrase() {
        assert_eq!(uncapitalized("Fixes it."), "fixes it");
        assert_eq!(uncapitalized("NULL is not read"), "NULL is not read");
    }
}
