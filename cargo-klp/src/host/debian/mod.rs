//! Packages from Debian's archive, unpacked into the cache.
//!
//! apt downloads them with a configuration of its own: it leaves the system's package lists, sources, `/boot`
//! and `/lib/modules` alone, and needs no root. apt verifies its downloads: the signature of the lists against
//! Debian's keyring, and the hash of each package against the lists.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::error::{Error, Result, indented};
use crate::host::cache::{self, Lock};
use crate::host::report::Reporter;
use crate::host::tools::{find_program, run_tool};

mod release;
mod sources;

pub use release::Debian;
pub use sources::{archive, sources};

/// The suite with Debian's newer Rust, for every Debian release.
const RUST_SUITE: &str = "trixie-backports";

/// apt with one set of sources.
#[derive(Debug)]
pub struct Apt<'a> {
    options: Vec<OsString>,
    root: PathBuf,
    reporter: &'a dyn Reporter,
    _lock: Lock,
}

impl<'a> Apt<'a> {
    /// apt with everything that a release of Debian has for kernels: the release, its security updates, its backports.
    pub fn of(debian: Debian, reporter: &'a dyn Reporter) -> Result<Self> {
        Self::open(debian.codename(), &sources::with_kernels(debian), reporter)
    }

    /// apt with this machine's release of Debian.
    pub fn stable(reporter: &'a dyn Reporter) -> Result<Self> {
        Self::of(Debian::of_this_machine(), reporter)
    }

    /// apt with what belongs to a kernel: its source, its debug information.
    pub fn of_kernel(release: &str, reporter: &'a dyn Reporter) -> Result<Self> {
        Self::of(Debian::of_kernel(release).unwrap_or_else(Debian::of_this_machine), reporter)
    }

    /// apt with a release of Debian for machines of another architecture, by Debian's name.
    pub fn of_architecture(debian: Debian, architecture: &str, reporter: &'a dyn Reporter) -> Result<Self> {
        let name = format!("{}-{architecture}", debian.codename());
        let sources = sources::of_architecture(debian.codename(), architecture);
        Self::open_with(
            &name,
            &sources,
            &["APT::Architecture", "APT::Architectures"].map(|option| format!("{option}={architecture}")),
            reporter,
        )
    }

    /// apt with the suite that has newer versions of Rust.
    pub fn rust(reporter: &'a dyn Reporter) -> Result<Self> {
        Self::open(RUST_SUITE, &sources::of_suite(RUST_SUITE), reporter)
    }

    fn open(name: &str, sources: &str, reporter: &'a dyn Reporter) -> Result<Self> {
        Self::open_with(name, sources, &[], reporter)
    }

    /// Writes the configuration and brings the package lists up to date.
    fn open_with(name: &str, sources: &str, settings: &[String], reporter: &'a dyn Reporter) -> Result<Self> {
        if find_program("apt-get").is_none() {
            return Err(Error::Request {
                message: "klp downloads kernels and Rust's sources with apt, which this machine lacks".into(),
                help: "use Debian, or name a build directory of your own kernel with `--kdir`".into(),
            });
        }
        let root = cache::root()?.join("apt").join(name);
        let lock = Lock::beside(&root)?;
        let directory = |name: &str| {
            let directory = root.join(name);
            fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
            Ok(directory)
        };
        let parts = directory("sources")?;
        directory("lists/partial")?;
        directory("cache/archives/partial")?;
        let file = parts.join("klp.sources");
        fs::write(&file, sources).map_err(Error::io("write", &file))?;

        let option = |name: &str, value: &OsStr| {
            let mut option = OsString::from(format!("{name}="));
            option.push(value);
            ["-o".into(), option]
        };
        let options = [
            option("Dir::Etc::SourceList", OsStr::new("/dev/null")),
            option("Dir::Etc::SourceParts", parts.as_os_str()),
            option("Dir::State::Lists", root.join("lists").as_os_str()),
            option("Dir::Cache", root.join("cache").as_os_str()),
            // By default apt, as root, downloads as a user that can't write to our directories.
            option("APT::Sandbox::User", OsStr::new("root")),
            option("Acquire::Languages", OsStr::new("none")),
            option("Acquire::Retries", OsStr::new("3")),
            // By default lists that can't be downloaded are a warning, and packages then seem not to exist.
            option("APT::Update::Error-Mode", OsStr::new("any")),
        ];
        let settings = settings.iter().map(|setting| ["-o".into(), setting.into()]);
        let apt = Self {
            options: options.into_iter().chain(settings).flatten().collect(),
            root,
            reporter,
            _lock: lock,
        };

        let lists = format!("the package lists of {name}");
        let _progress = reporter.progress("Updating", &lists);
        run_tool(apt.command("apt-get").args(["-qq", "update"]))
            .map_err(|error| not_downloaded(&lists, error))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).env("LC_ALL", "C");
        command
    }

    /// The packages that the newest version of `package` depends on; none if there is no such package.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let output = run_tool(self.command("apt-cache").args(["--no-all-versions", "show", package]));
        match output {
            Ok(output) => Ok(parse_depends(&String::from_utf8_lossy(&output.stdout), package)),
            // The exit code of apt-cache for an unknown name.
            Err(Error::Tool { status, .. }) if status.code() == Some(100) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The versions of `package` that can be downloaded, the newest first.
    pub fn versions(&self, package: &str) -> Result<Vec<String>> {
        let output = run_tool(self.command("apt-cache").args(["madison", package]))?;
        Ok(parse_madison(&String::from_utf8_lossy(&output.stdout)))
    }

    /// The packages whose names begin so.
    pub fn names(&self, start: &str) -> Result<Vec<String>> {
        let output = run_tool(self.command("apt-cache").args(["pkgnames", start]))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// Downloads packages with all that they depend on, as for a machine that has nothing, and unpacks them under
    /// `dest`.
    pub fn download_and_extract_all(&self, what: &str, packages: &[String], dest: &Path) -> Result<()> {
        // apt takes it for the list of what is installed, and keeps its lock beside it.
        let status = self.root.join("status");
        fs::write(&status, "").map_err(Error::io("write", &status))?;
        let archives = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let partial = archives.path().join("partial");
        fs::create_dir(&partial).map_err(Error::io("create", &partial))?;
        let progress = self.reporter.progress("Downloading", what);
        let mut install = self.command("apt-get");
        install.arg("-o").arg(format!("Dir::State::status={}", status.display()));
        install.arg("-o").arg(format!("Dir::Cache::archives={}", archives.path().display()));
        install
            .args(["-qq", "--yes", "--no-install-recommends", "--download-only", "install"])
            .args(packages);
        run_tool(&mut install).map_err(|error| not_downloaded(what, error))?;
        drop(progress);
        let io = || Error::io("read", archives.path());
        for entry in fs::read_dir(archives.path()).map_err(io())? {
            let deb = entry.map_err(io())?.path();
            if deb.extension().is_some_and(|extension| extension == "deb") {
                run_tool(Command::new("dpkg").arg("-x").arg(deb).arg(dest))?;
            }
        }
        Ok(())
    }

    /// Downloads a package, in the given version or the newest one, and unpacks it under `dest`.
    pub fn download_and_extract(&self, package: &str, version: Option<&str>, dest: &Path) -> Result<()> {
        self.with_package(package, version, |deb| {
            run_tool(Command::new("dpkg").arg("-x").arg(deb).arg(dest)).map(drop)
        })
    }

    /// Downloads a package, in the given version or the newest one, and keeps it while `work` runs.
    pub fn with_package(
        &self,
        package: &str,
        version: Option<&str>,
        work: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let wanted = version.map_or_else(|| package.to_owned(), |version| format!("{package}={version}"));
        let progress = self.reporter.progress("Downloading", &wanted);
        run_tool(self.command("apt-get").args(["-qq", "download", &wanted]).current_dir(&directory))
            .map_err(|error| not_downloaded(&format!("the package {wanted}"), error))?;
        let mut debs = fs::read_dir(&directory).map_err(Error::io("read", directory.path()))?;
        let deb = debs
            .next()
            .expect("apt-get has downloaded it")
            .map_err(Error::io("read", directory.path()))?
            .path();
        drop(progress);
        work(&deb)
    }
}

/// The error for something that apt could not download.
pub(crate) fn not_downloaded(what: &str, error: Error) -> Error {
    let Error::Tool { output, .. } = error else { return error };
    Error::Request {
        message: format!("can't download {what}:{}", indented(&output)),
        help:
            "check this machine's network, and the proxy and mirror in /etc/apt; then run this command again"
                .into(),
    }
}

/// The `library` directory of the Rust sources of exactly the compiler's version: rustup's, or the one
/// that [`fetch_rust_src`] has fetched.
pub fn rust_src() -> Result<PathBuf> {
    let sysroot = run_tool(Command::new("rustc").args(["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    let installed = sysroot.join("lib/rustlib/src/rust/library");
    let version = rustc_version()?;
    let cached = library(&cache::root()?.join(rust_src_key(&version)), &version);
    [installed, cached].into_iter().find(|library| library.join("core/src/lib.rs").exists()).ok_or_else(
        || Error::Missing {
            what: format!("the source of Rust {version}'s libraries (rust-src)"),
            needed_for: "`core` is compiled from it for the target kernel".into(),
        },
    )
}

/// Fetches the Rust sources of the compiler's version into the cache.
pub fn fetch_rust_src(reporter: &dyn Reporter) -> Result<PathBuf> {
    let version = rustc_version()?;
    let entry = cache::entry(rust_src_key(&version), |dir| {
        let apt = Apt::rust(reporter)?;
        let versions = apt.versions("rust-src")?;
        let package_version =
            versions.iter().find(|v| is_upstream(v, &version)).ok_or_else(|| Error::Request {
                message: format!("{RUST_SUITE} has no rust-src {version}, only {}", versions.join(", ")),
                help: "try `rustup component add rust-src`".into(),
            })?;
        apt.download_and_extract("rust-src", Some(package_version), dir)
    })?;
    Ok(library(&entry, &version))
}

fn rust_src_key(version: &str) -> PathBuf {
    Path::new("rust-src").join(version)
}

fn library(entry: &Path, version: &str) -> PathBuf {
    entry.join(format!("usr/src/rustc-{version}/library"))
}

/// The version of the compiler that compiles patches.
pub fn rustc_version() -> Result<String> {
    static VERSION: OnceLock<String> = OnceLock::new();
    if let Some(version) = VERSION.get() {
        return Ok(version.clone());
    }
    let output = run_tool(Command::new("rustc").arg("--version"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.split_whitespace().nth(1).map(str::to_owned).ok_or_else(|| Error::Request {
        message: format!("`rustc --version` said `{}`", said.trim()),
        help: "check which rustc is in PATH".into(),
    })?;
    Ok(VERSION.get_or_init(|| version).clone())
}

/// Whether a package's version is one of this upstream version.
fn is_upstream(package_version: &str, upstream: &str) -> bool {
    package_version.strip_prefix(upstream).is_some_and(|rest| rest.starts_with(['+', '-', '~']))
}

/// The dependencies of `package`, without versions, the first of alternatives.
///
/// apt-cache takes an unknown name that contains a dot for a pattern, and shows every package that
/// matches.
fn parse_depends(shown: &str, package: &str) -> Vec<String> {
    let field = |stanza: &'_ str, key: &str| {
        stanza.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
    };
    let stanza = shown.split("\n\n").find(|stanza| field(stanza, "Package:").as_deref() == Some(package));
    let depends = stanza.and_then(|stanza| field(stanza, "Depends:")).unwrap_or_default();
    depends.split(',').filter_map(|part| part.split_whitespace().next()).map(str::to_owned).collect()
}

/// `apt-cache madison` writes `package | version | source`.
fn parse_madison(output: &str) -> Vec<String> {
    output
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(|version| version.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_exactly_one_package() {
        let shown = "Package: headers-6.12\nDepends: wrong\n\nPackage: headers-6.1\nVersion: 2\nDepends: linux-base (>= 1), image-a (= 2) | image-b, gcc\n";
        assert_eq!(parse_depends(shown, "headers-6.1"), ["linux-base", "image-a", "gcc"]);
        assert!(parse_depends(shown, "headers-6").is_empty());
    }

    #[test]
    fn versions_in_the_order_given() {
        let output = " rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://x/debian trixie-backports/main amd64 Packages\n rust-src | 1.92.0-1 | y\n";
        assert_eq!(parse_madison(output), ["1.95.0+dfsg1-2~bpo13+1", "1.92.0-1"]);
    }

    #[test]
    fn upstream_version_of_a_package() {
        assert!(is_upstream("1.95.0+dfsg1-2~bpo13+1", "1.95.0"));
        assert!(is_upstream("1.95.0-1", "1.95.0"));
        assert!(!is_upstream("1.95.01-1", "1.95.0"));
        assert!(!is_upstream("1.94.0-1", "1.95.0"));
    }
}
