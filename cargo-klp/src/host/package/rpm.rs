//! Packages of the rpm family, made with the crate rpm: no rpmbuild, and no rpm on the machine that makes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rpm::{BuildConfig, CompressionType, Dependency, FileOptions, PackageBuilder, Timestamp};

use super::Package;
use crate::error::{Error, Result};

/// All packages are the first of their version.
const RELEASE: &str = "1";

/// The directories with files of these packages that belong to others.
const OF_THE_SYSTEM: [&str; 9] = [
    "usr",
    "usr/lib",
    "usr/sbin",
    "usr/share",
    "usr/share/bash-completion",
    "usr/share/bash-completion/completions",
    "usr/share/licenses",
    "usr/share/man",
    "usr/share/man/man8",
];

/// Makes the `.rpm`; its path.
pub(super) fn write(package: &Package, directory: &Path) -> Result<PathBuf> {
    let Package { name, version, machine, .. } = package;
    let path = directory.join(format!("{name}-{version}-{RELEASE}.{}.rpm", machine.uname));
    let made = build(package).and_then(|made| made.write_file(&path));
    made.map_err(|error| Error::Request {
        message: format!("`{}` can't be made: {error}", path.display()),
        help: "try `--format deb`, and report this".into(),
    })?;
    Ok(path)
}

fn build(package: &Package) -> Result<rpm::Package, rpm::Error> {
    let Package { name, version, machine, license, maintainer, .. } = package;
    let mut builder =
        PackageBuilder::new(name, version, license, machine.uname, &capitalized(&package.summary));
    builder
        .using_config(BuildConfig::v4().compression(CompressionType::Gzip).source_date(package.time))
        .release(RELEASE)
        .packager(maintainer)
        // rpmlint wants one; that of this machine is nobody's business.
        .build_host("localhost")
        .group("System/Kernel")
        .description(package.description.trim_end())
        .add_changelog_entry(
            format!("{maintainer} - {version}-{RELEASE}"),
            format!("- {}", package.change),
            Timestamp(package.time),
        );
    let needs_systemd = (!package.units.is_empty()).then_some("systemd");
    for needed in package.depends.iter().copied().chain(needs_systemd) {
        builder.requires(Dependency::any(needed));
    }
    let license_file = format!("usr/share/licenses/{name}/copyright");
    for directory in own_directories(package.files.iter().map(|file| &*file.path).chain([&*license_file])) {
        builder.with_dir_entry(FileOptions::dir(format!("/{directory}")).permissions(0o755))?;
    }
    for file in &package.files {
        let mode = if file.is_program { 0o755 } else { 0o644 };
        let mut options = FileOptions::new(format!("/{}", file.path)).permissions(mode);
        if file.path.starts_with("usr/share/man/") {
            options = options.doc();
        }
        builder.with_file_contents(file.data.clone(), options)?;
    }
    for unit in &package.units {
        let options = FileOptions::new(format!("/usr/lib/systemd/system/{}", unit.name)).permissions(0o644);
        builder.with_file_contents(unit.data.clone(), options)?;
    }
    let options = FileOptions::new(format!("/{license_file}")).permissions(0o644).license();
    builder.with_file_contents(package.copyright.as_bytes(), options)?;
    let scripts = Scriptlets::of(package);
    if !scripts.pre.is_empty() {
        builder.pre_install_script(scripts.pre);
    }
    if !scripts.post.is_empty() {
        builder.post_install_script(scripts.post);
    }
    if !scripts.preun.is_empty() {
        builder.pre_uninstall_script(scripts.preun);
    }
    if !scripts.postun.is_empty() {
        builder.post_uninstall_script(scripts.postun);
    }
    if !scripts.posttrans.is_empty() {
        builder.post_trans_script(scripts.posttrans);
    }
    builder.build()
}

/// The directories that no package of the system has: rpm removes those only that a package names.
fn own_directories<'a>(files: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let parents = files.flat_map(|file| file.match_indices('/').map(|(end, _)| &file[..end]));
    parents.filter(|directory| !OF_THE_SYSTEM.contains(directory)).collect()
}

/// rpm's distributions want a sentence, where Debian wants a phrase.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
}

/// The scriptlets. Their argument is the number of installed packages of this name afterwards: 0 is a removal. rpm keeps a
/// package whose `preun` fails, and installs none whose `pre` fails; another one that fails changes nothing but rpm's exit
/// code. An upgrade runs `pre` and `post` of the new package, then `preun` and `postun` of the old one, whose files go
/// between these, then `posttrans` of the new one.
#[derive(Debug, Default)]
struct Scriptlets {
    pre: String,
    post: String,
    preun: String,
    postun: String,
    posttrans: String,
}

impl Scriptlets {
    fn of(package: &Package) -> Self {
        let mut scripts = Self::default();
        if package.scripts.refuses_downgrade {
            scripts.pre = refuse_downgrade(&package.name, &package.version);
        }
        if !package.units.is_empty() {
            let (enabled, started) =
                (package.units(|unit| unit.is_enabled), package.units(|unit| unit.is_started));
            let (all, state) = (package.units(|_| true), package.state.join(" "));
            scripts.post = format!(
                r#"if [ "$1" = 1 ] && command -v systemctl > /dev/null; then
    systemctl enable --quiet {enabled}
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    for unit in {started}; do
        # Not one that the administrator has disabled or masked.
        ! systemctl is-enabled --quiet "$unit" || systemctl start "$unit"
    done
fi
"#
            );
            scripts.preun = format!(
                r#"if [ -d /run/systemd/system ]; then
    systemctl stop {all}
    # systemd remembers a unit that has failed, also when its file is gone.
    systemctl reset-failed {all} 2> /dev/null || true
fi
if command -v systemctl > /dev/null; then
    systemctl disable --quiet {enabled}
fi
"#
            );
            scripts.postun = format!(
                r#"if [ "$1" = 0 ]; then
    rm -rf {state}
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
"#
            );
        }
        // Only then the old version's files are gone: klp would take a higher one among them for what is installed.
        scripts.posttrans.push_str(&package.scripts.configure);
        // rpm never asks.
        let refusal = package.refuse_loss("", "");
        scripts.preun.insert_str(0, &format!("{refusal}{}", package.scripts.remove));
        if !scripts.preun.is_empty() {
            scripts.preun = format!("if [ \"$1\" = 0 ]; then\n{}fi\n", scripts.preun);
        }
        let Self { pre, post, preun, postun, posttrans } = &mut scripts;
        for lines in [pre, post, preun, postun, posttrans] {
            if !lines.is_empty() {
                lines.insert_str(0, "set -e\n");
            }
        }
        scripts
    }
}

/// Who gives rpm `--oldpackage` has asked for another version, not for the loss of fixes.
fn refuse_downgrade(name: &str, version: &str) -> String {
    format!(
        r#"if [ "$1" -gt 1 ] && [ -z "$KLP_ALLOW_DOWNGRADE" ]; then
    installed=$(rpm -q --queryformat '%{{VERSION}}\n' {name} | sort -V | tail -n 1)
    if [ "$(printf '%s\n' {version} "$installed" | sort -V | tail -n 1)" != {version} ]; then
        echo "{name}: version $installed is installed, and has fixes that {version} lacks" >&2
        echo "  help: to lose them, set KLP_ALLOW_DOWNGRADE=1" >&2
        exit 1
    fi
fi
"#
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::host::package::{Format, example};
    use crate::host::tools::run_tool;

    #[test]
    fn rpm_reads_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = example().write(Format::Rpm, directory.path()).unwrap();
        assert_eq!(path.file_name().unwrap(), "a-b-2-1.x86_64.rpm");
        let read = rpm::Package::open(&path).unwrap().metadata;
        assert_eq!((read.get_name().unwrap(), read.get_version().unwrap()), ("a-b", "2"));
        assert_eq!(read.get_build_time().unwrap(), 1_000_000_000);
        assert_eq!((read.get_license().unwrap(), read.get_summary().unwrap()), ("MIT", "Says a"));
        let needs = read.get_requires().unwrap();
        for name in ["klp-tools", "systemd"] {
            assert!(needs.iter().any(|needed| needed.name == name), "{needs:?}");
        }
        let files = read.get_file_entries().unwrap();
        for (path, mode) in [
            ("/usr/lib/a", 0o644),
            ("/usr/sbin/b", 0o755),
            ("/usr/lib/systemd/system/b.service", 0o644),
            ("/usr/share/licenses/a-b", 0o755),
            ("/usr/share/licenses/a-b/copyright", 0o644),
        ] {
            let file = files.iter().find(|file| file.path() == Path::new(path));
            assert_eq!(file.map(|file| file.mode().permissions()), Some(mode), "{path}");
        }
        assert!(!files.iter().any(|file| file.path() == Path::new("/usr/lib")), "it is not of this package");
        for (script, line) in [
            (read.get_pre_install_script(), "rpm -q --queryformat '%{VERSION}\\n' a-b"),
            (read.get_post_trans_script(), "b up\n"),
            (read.get_post_install_script(), "for unit in b.path; do\n"),
            (read.get_pre_uninstall_script(), "if [ \"$1\" = 0 ]; then\nlost() {\nb loss\n}\n"),
            (
                read.get_pre_uninstall_script(),
                "set KLP_ALLOW_REMOVAL=1\" >&2\n        exit 1\n    fi\nfi\nb down\n",
            ),
            (read.get_post_uninstall_script(), "rm -rf /var/lib/b\n"),
        ] {
            let text = script.unwrap().script;
            assert!(text.contains(line), "{text}");
            run_tool(Command::new("sh").args(["-n", "-c", &text])).unwrap();
        }
    }
}
