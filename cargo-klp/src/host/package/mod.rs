//! Packages for administrators: what one has is said once, here, and each format writes it in its own way.

mod deb;
mod rpm;

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs};

use crate::error::{Error, Result};

/// A package of programs or modules.
#[derive(Clone, Debug, Default)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// What it runs on.
    pub machine: Machine,
    /// Its version, without a hyphen: there is no other source than this one.
    pub version: String,
    /// `Name <address>`.
    pub maintainer: String,
    /// Debian's section, such as `admin`.
    pub section: &'static str,
    /// The packages that it needs, by a name that all formats know.
    pub depends: Vec<&'static str>,
    /// A line.
    pub summary: String,
    /// More lines; an empty one parts paragraphs.
    pub description: String,
    /// What is new in this version: a line.
    pub change: String,
    /// When it is made, in Unix time: [`time`]. Nothing in the package is newer.
    pub time: u32,
    /// The license, as SPDX writes it.
    pub license: String,
    /// The text of the license, and who has the rights.
    pub copyright: String,
    /// The files that it installs.
    pub files: Vec<File>,
    /// The units of systemd that it installs.
    pub units: Vec<Unit>,
    /// Directories that its programs make, which go with it.
    pub state: Vec<&'static str>,
    /// What is run where it comes and goes.
    pub scripts: Scripts,
}

/// A kind of machine, as packages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// By Debian's name.
    pub debian: &'static str,
    /// As `uname -m` and rpm call it.
    pub uname: &'static str,
}

impl Default for Machine {
    fn default() -> Self {
        Self { debian: "amd64", uname: "x86_64" }
    }
}

/// A file of a package.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path, without a slash at its beginning.
    pub path: String,
    /// What is in it.
    pub data: Vec<u8>,
    /// Whether it can be run.
    pub is_program: bool,
}

/// A unit of systemd.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Such as `klp.service`.
    pub name: &'static str,
    /// The file.
    pub data: Vec<u8>,
    /// Whether each boot starts it.
    pub is_enabled: bool,
    /// Whether the installation starts it.
    pub is_started: bool,
}

/// Lines of shell, which run under `set -e` in either format.
#[derive(Clone, Debug, Default)]
pub struct Scripts {
    /// After an installation or an upgrade, when the files of an older version are gone.
    pub configure: String,
    /// Prints what the machine that runs would lose by a removal, which is asked for then, or nothing.
    pub lost: String,
    /// Before a removal, not before an upgrade. If it fails, the package stays.
    pub remove: String,
    /// Whether a lower version is refused in place of a higher one, unless `KLP_ALLOW_DOWNGRADE` is set.
    pub refuses_downgrade: bool,
}

/// A format of packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Debian's.
    #[default]
    Deb,
    /// That of Fedora, RHEL and SUSE.
    Rpm,
}

/// The time of a package that is made now, or the one in SOURCE_DATE_EPOCH: the same files make the same package then.
///
/// # Errors
///
/// SOURCE_DATE_EPOCH is no number of seconds.
pub fn time() -> Result<u32> {
    const VARIABLE: &str = "SOURCE_DATE_EPOCH";
    let Some(set) = env::var_os(VARIABLE) else {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        return Ok(u32::try_from(now.as_secs()).unwrap_or(u32::MAX));
    };
    set.to_str().and_then(|set| set.parse().ok()).ok_or_else(|| Error::Request {
        message: format!("expected seconds in {VARIABLE}, found `{}`", set.display()),
        help: "set it to a Unix time, as `date +%s` prints it, or unset it".into(),
    })
}

impl Package {
    /// Makes the package; its path in `directory`.
    ///
    /// # Errors
    ///
    /// A file cannot be written, or a tool fails.
    pub fn write(&self, format: Format, directory: &Path) -> Result<PathBuf> {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        match format {
            Format::Deb => deb::write(self, directory),
            Format::Rpm => rpm::write(self, directory),
        }
    }

    /// Shell for a removal: keeps the package if the machine would lose something, unless that was allowed before. The lines
    /// `asks` may set `RET` to true, and `or` says how.
    fn refuse_loss(&self, asks: &str, or: &str) -> String {
        let Self { name, scripts, .. } = self;
        if scripts.lost.is_empty() {
            return String::new();
        }
        format!(
            r#"lost() {{
{lost}}}
if [ -z "$KLP_ALLOW_REMOVAL" ] && lost=$(lost) && [ -n "$lost" ]; then
    RET=false
{asks}    if [ "$RET" != true ]; then
        echo "{name} stays: its patch is in effect, $lost" >&2
        echo "  help: to lose it, set KLP_ALLOW_REMOVAL=1{or}" >&2
        exit 1
    fi
fi
"#,
            lost = scripts.lost
        )
    }

    /// The names of the units that are so, with a space between them.
    fn units(&self, is_so: impl Fn(&Unit) -> bool) -> String {
        let units = self.units.iter().filter(|unit| is_so(unit));
        units.map(|unit| unit.name).collect::<Vec<_>>().join(" ")
    }
}

/// A package for the tests of both formats.
#[cfg(test)]
fn example() -> Package {
    Package {
        name: "a-b".into(),
        machine: Machine::default(),
        version: "2".into(),
        maintainer: "A <a@example.org>".into(),
        section: "kernel",
        depends: vec!["klp-tools"],
        summary: "says a".into(),
        description: "One.\n\nTwo.".into(),
        change: "New.".into(),
        time: 1_000_000_000,
        license: "MIT".into(),
        copyright: "free".into(),
        files: vec![
            File { path: "usr/lib/a".into(), data: vec![b'a'; 3000], is_program: false },
            File { path: "usr/sbin/b".into(), data: b"b".into(), is_program: true },
        ],
        units: vec![
            Unit { name: "b.path", data: b"[Path]\n".into(), is_enabled: true, is_started: true },
            Unit { name: "b.service", data: b"[Service]\n".into(), is_enabled: false, is_started: false },
        ],
        state: vec!["/var/lib/b"],
        scripts: Scripts {
            configure: "b up\n".into(),
            lost: "b loss\n".into(),
            remove: "b down\n".into(),
            refuses_downgrade: true,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::host::tools::run_tool;

    /// In both formats: a loss is refused, unless it was allowed or somebody says yes; without one, nobody is asked.
    #[test]
    fn a_removal_that_costs_something_is_refused() {
        let keeps = |lost: &str, asks: &str, allowed: &str| {
            let mut package = example();
            package.scripts.lost = format!("echo '{lost}'\n");
            let script = format!("set -e\n{}exit 0", package.refuse_loss(asks, ", or say yes"));
            let mut shell = Command::new("sh");
            run_tool(shell.args(["-c", &script]).env("KLP_ALLOW_REMOVAL", allowed).env("RET", "true"))
                .is_err()
        };
        let (no, yes) = ("RET=no\n", "RET=true\n");
        assert!(keeps("a: CVE", "", "") && keeps("a: CVE", no, ""));
        assert!(!keeps("a: CVE", yes, "") && !keeps("a: CVE", no, "1") && !keeps("a: CVE", "", "1"));
        assert!(!keeps("", "", "") && !keeps("", "exit 1\n", ""));
    }
}
