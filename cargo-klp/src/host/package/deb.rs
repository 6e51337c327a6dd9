//! Debian packages, made with dpkg-deb.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Package;
use crate::error::{Error, Result};
use crate::host::tools::run_tool;

/// Makes the `.deb`; its path.
pub(super) fn write(package: &Package, directory: &Path) -> Result<PathBuf> {
    let Package { name, version, machine, .. } = package;
    let deb = directory.join(format!("{name}_{version}_{}.deb", machine.debian));
    let tree = tempfile::tempdir_in(directory).map_err(Error::io("create", directory))?;
    // dpkg-deb takes it as the mode of the root directory.
    set_mode(tree.path(), 0o755)?;
    for file in &package.files {
        put(tree.path(), &file.path, &file.data, if file.is_program { 0o755 } else { 0o644 })?;
    }
    for unit in &package.units {
        put(tree.path(), &format!("lib/systemd/system/{}", unit.name), &unit.data, 0o644)?;
    }
    if !package.scripts.lost.is_empty() {
        put(tree.path(), &format!("usr/share/lintian/overrides/{name}"), overrides(name).as_bytes(), 0o644)?;
    }
    let doc = format!("usr/share/doc/{name}");
    let copyright = format!("{}{}", package.copyright, where_the_gpl_is(&package.license));
    put(tree.path(), &format!("{doc}/copyright"), copyright.as_bytes(), 0o644)?;
    let changelog_path = format!("{doc}/changelog");
    put(tree.path(), &changelog_path, changelog(package)?.as_bytes(), 0o644)?;
    run_tool(Command::new("gzip").arg("-9n").arg(tree.path().join(changelog_path)))?;

    let sums = checksums(tree.path())?;
    put(tree.path(), "DEBIAN/control", control(package, &sums).as_bytes(), 0o644)?;
    put(tree.path(), "DEBIAN/md5sums", sums.text.as_bytes(), 0o644)?;
    if !package.scripts.lost.is_empty() {
        put(tree.path(), "DEBIAN/templates", question(name).as_bytes(), 0o644)?;
    }
    for (name, lines) in scripts(package) {
        put(tree.path(), &format!("DEBIAN/{name}"), format!("#!/bin/sh\nset -e\n{lines}").as_bytes(), 0o755)?;
    }
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "--build"]).arg(tree.path()).arg(&deb);
    // No file in it is newer then.
    run_tool(command.env("SOURCE_DATE_EPOCH", package.time.to_string()))?;
    Ok(deb)
}

/// What lintian takes for a mistake, and is none.
fn overrides(name: &str) -> String {
    format!(
        "# The only question is asked before the removal. With debconf at its other end, postinst would wait for whatever \
         it starts.\n{name}: postinst-does-not-load-confmodule\n"
    )
}

fn where_the_gpl_is(license: &str) -> &'static str {
    if license.contains("GPL-2.0") {
        "\nOn Debian systems, /usr/share/common-licenses/GPL-2 has the GNU General Public License, version 2.\n"
    } else {
        ""
    }
}

fn control(package: &Package, sums: &Checksums) -> String {
    let Package { name, machine, version, maintainer, section, summary, .. } = package;
    let size = sums.bytes.div_ceil(1024);
    let mut control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {}\nMaintainer: {maintainer}\n\
         Installed-Size: {size}\n",
        machine.debian
    );
    let mut depends = package.depends.clone();
    if !package.units.is_empty() {
        // The scripts call it.
        depends.push("init-system-helpers (>= 1.51)");
    }
    if !package.scripts.lost.is_empty() {
        depends.push("debconf (>= 0.5) | debconf-2.0");
    }
    if !depends.is_empty() {
        control.push_str(&format!("Depends: {}\n", depends.join(", ")));
    }
    control.push_str(&format!("Section: {section}\nPriority: optional\nDescription: {summary}\n"));
    for line in package.description.lines() {
        control.push_str(&format!(" {}\n", if line.is_empty() { "." } else { line }));
    }
    control
}

fn changelog(package: &Package) -> Result<String> {
    let mut command = Command::new("date");
    let date =
        run_tool(command.args(["-u", "-R", "-d"]).arg(format!("@{}", package.time)).env("LC_ALL", "C"))?;
    let date = String::from_utf8_lossy(&date.stdout);
    let Package { name, version, maintainer, change, .. } = package;
    Ok(format!(
        "{name} ({version}) unstable; urgency=medium\n\n  * {change}\n\n -- {maintainer}  {}\n",
        date.trim()
    ))
}

/// The maintainer's scripts, by name.
fn scripts(package: &Package) -> Vec<(&'static str, String)> {
    let mut scripts = vec![
        ("config", before_questions(package)),
        (
            "preinst",
            if package.scripts.refuses_downgrade {
                refuse_downgrade(&package.version)
            } else {
                String::new()
            },
        ),
        (
            "postinst",
            format!("{}{}", enable_units(package), in_case("configure", &package.scripts.configure)),
        ),
        (
            "prerm",
            format!(
                "{}{}",
                in_case("remove", &format!("{}{}", ask_before_removal(package), package.scripts.remove)),
                stop_units(package)
            ),
        ),
        ("postrm", format!("{}{}", forget_question(package), forget_units(package))),
    ];
    scripts.retain(|(_, lines)| !lines.is_empty());
    scripts
}

/// Lines that are run where dpkg gives a script this argument.
fn in_case(argument: &str, lines: &str) -> String {
    match lines {
        "" => String::new(),
        lines => format!("if [ \"$1\" = {argument} ]; then\n{lines}fi\n"),
    }
}

fn refuse_downgrade(version: &str) -> String {
    format!(
        r#"if [ "$1" = upgrade ] && [ -z "$KLP_ALLOW_DOWNGRADE" ] && dpkg --compare-versions "$2" gt {version}; then
    echo "$DPKG_MAINTSCRIPT_PACKAGE: version $2 is installed, and has fixes that {version} lacks" >&2
    echo "  help: to lose them, set KLP_ALLOW_DOWNGRADE=1" >&2
    exit 1
fi
"#
    )
}

/// What debconf asks, as the kernel's own packages do before the kernel that runs is removed.
fn question(name: &str) -> String {
    format!(
        "Template: {name}/remove\nType: boolean\nDefault: false\n\
         Description: Remove a livepatch that is in effect?\n \
         The kernel that runs loses what this package has patched into it: ${{lost}}.\n .\n \
         If you say no, the package stays, and so does the patch.\n"
    )
}

/// Before an installation debconf has nothing to ask; policy wants the script where there is a question at all.
fn before_questions(package: &Package) -> String {
    if package.scripts.lost.is_empty() { String::new() } else { ". /usr/share/debconf/confmodule\n".into() }
}

/// The answer is no where nobody is there to give one, unless it was given before (debconf-set-selections).
fn ask_before_removal(package: &Package) -> String {
    let name = &package.name;
    let asks = format!(
        r#"    # It starts this script again, with debconf at its other end.
    . /usr/share/debconf/confmodule
    db_fset {name}/remove seen false
    db_subst {name}/remove lost "$(echo "$lost" | paste -sd ';')"
    db_input critical {name}/remove || true
    db_go || true
    db_get {name}/remove
"#
    );
    package.refuse_loss(&asks, ", or answer yes")
}

fn forget_question(package: &Package) -> String {
    if package.scripts.lost.is_empty() {
        return String::new();
    }
    r#"if [ "$1" = purge ] && [ -e /usr/share/debconf/confmodule ]; then
    . /usr/share/debconf/confmodule
    db_purge
fi
"#
    .into()
}

fn enable_units(package: &Package) -> String {
    if package.units.is_empty() {
        return String::new();
    }
    let enabled = package.units(|unit| unit.is_enabled);
    let started = package.units(|unit| unit.is_started);
    format!(
        r#"if [ "$1" = configure ]; then
    for unit in {enabled}; do
        deb-systemd-helper unmask "$unit" > /dev/null
        deb-systemd-helper enable "$unit" > /dev/null
    done
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload > /dev/null
        deb-systemd-invoke start {started} > /dev/null
    fi
fi
"#
    )
}

fn stop_units(package: &Package) -> String {
    if package.units.is_empty() {
        return String::new();
    }
    let units = package.units(|_| true);
    format!(
        r#"if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    deb-systemd-invoke stop {units} > /dev/null
    # systemd remembers a unit that has failed, also when its file is gone.
    systemctl reset-failed {units} 2> /dev/null || true
fi
"#
    )
}

fn forget_units(package: &Package) -> String {
    if package.units.is_empty() {
        return String::new();
    }
    let (enabled, state) = (package.units(|unit| unit.is_enabled), package.state.join(" "));
    format!(
        r#"if [ "$1" = remove ] && command -v deb-systemd-helper > /dev/null; then
    deb-systemd-helper mask {enabled} > /dev/null
fi
if [ "$1" = purge ]; then
    if command -v deb-systemd-helper > /dev/null; then
        deb-systemd-helper purge {enabled} > /dev/null
        deb-systemd-helper unmask {enabled} > /dev/null
    fi
    rm -rf {state}
fi
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload > /dev/null || true
fi
"#
    )
}

/// The checksums of a package's files, and their size.
struct Checksums {
    text: String,
    bytes: u64,
}

fn checksums(tree: &Path) -> Result<Checksums> {
    let find = |arguments: &[&str]| {
        let mut command = Command::new("find");
        let output = run_tool(command.args([".", "-type", "f"]).args(arguments).current_dir(tree))?;
        Ok::<_, Error>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let text = find(&["-exec", "md5sum", "{}", "+"])?.replace("  ./", "  ");
    let bytes = find(&["-printf", "%s\\n"])?.lines().filter_map(|size| size.parse::<u64>().ok()).sum();
    Ok(Checksums { text, bytes })
}

fn put(tree: &Path, path: &str, data: &[u8], mode: u32) -> Result<()> {
    let path = tree.join(path);
    let directories = path.ancestors().skip(1).take_while(|directory| *directory != tree);
    let directories: Vec<_> = directories.collect();
    for directory in directories.into_iter().rev().filter(|directory| !directory.exists()) {
        fs::create_dir(directory).map_err(Error::io("create", directory))?;
        set_mode(directory, 0o755)?;
    }
    fs::write(&path, data).map_err(Error::io("write", &path))?;
    set_mode(&path, mode)
}

/// Whatever the user's umask.
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::io("change the mode of", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::package::{Format, example};

    #[test]
    fn dpkg_reads_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let deb = example().write(Format::Deb, directory.path()).unwrap();
        assert_eq!(deb.file_name().unwrap(), "a-b_2_amd64.deb");
        let dpkg = |arguments: &[&str]| {
            let output = run_tool(Command::new("dpkg-deb").args(arguments).arg(&deb)).unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let control = dpkg(&["--field"]);
        for line in [
            "Package: a-b",
            "Depends: klp-tools, init-system-helpers (>= 1.51), debconf (>= 0.5) | debconf-2.0",
            "Description: says a",
            " One.",
            " .",
            " Two.",
        ] {
            assert!(control.lines().any(|found| found == line), "{line}: {control}");
        }
        let contents = dpkg(&["--contents"]);
        let has = |mode: &str, path: &str| {
            contents.lines().any(|line| {
                line.starts_with(mode) && line.contains("root/root") && line.ends_with(&format!(" {path}"))
            })
        };
        assert!(has("-rw-r--r--", "./usr/lib/a") && has("-rwxr-xr-x", "./usr/sbin/b"), "{contents}");
        assert!(has("drwxr-xr-x", "./") && has("drwxr-xr-x", "./usr/lib/"), "{contents}");
        for file in ["doc/a-b/changelog.gz", "lintian/overrides/a-b"] {
            assert!(has("-rw-r--r--", &format!("./usr/share/{file}")), "{contents}");
        }
        let days = contents.lines().map(|line| line.split_whitespace().nth(3).unwrap());
        assert!(days.into_iter().all(|day| day.starts_with("2001-09-")), "{contents}");
        for (script, line) in [
            ("preinst", "dpkg --compare-versions \"$2\" gt 2"),
            ("postinst", "b up"),
            ("postinst", "deb-systemd-invoke start b.path >"),
            ("config", "/usr/share/debconf/confmodule"),
            ("prerm", "b loss"),
            ("prerm", "db_input critical a-b/remove"),
            ("prerm", "b down"),
            ("postrm", "db_purge"),
            ("prerm", "deb-systemd-invoke stop b.path b.service"),
            ("postrm", "rm -rf /var/lib/b"),
        ] {
            let mut command = Command::new("dpkg-deb");
            let output = run_tool(command.arg("--info").arg(&deb).arg(script)).unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains(line), "{script} lacks `{line}`: {text}");
            run_tool(Command::new("sh").args(["-n", "-c", &text])).unwrap();
        }
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "the tree is left behind");
    }
}
