//! Which kernel's types are meant: that for which the build is, else the newest one here.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use klp_btf::Types;
use klp_format::{env as names, headers};

/// The file of BTF in a module's directory of the cache.
const BTF: &str = "btf";

/// The file beside it that has the path of the module.
const PATH: &str = "path";

/// A file with the BTF of a kernel.
pub(crate) struct Source {
    file: PathBuf,
    module: Option<Module>,
}

/// A module, on top of its kernel.
struct Module {
    name: String,
    /// Its BTF.
    btf: PathBuf,
    /// The module itself, where that is known.
    file: Option<PathBuf>,
}

impl Source {
    /// A file with the BTF of a kernel.
    pub(crate) fn of(file: PathBuf) -> Self {
        Self { file, module: None }
    }

    /// The one to take, or what to do where there is none.
    pub(super) fn find() -> Result<Self, String> {
        match env::var_os(names::BTF) {
            Some(none) if none.is_empty() => Err(
                "the kernel's types are unknown: this machine has no image of it, nor a `vmlinux` in its build directory, or \
                 it was built without CONFIG_DEBUG_INFO_BTF; `cargo klp doctor` says what to install"
                    .into(),
            ),
            Some(file) => Ok(Self::of(file.into())),
            None => of_default().map(Self::of).ok_or_else(|| {
                "no kernel's types are known on this machine: `cargo klp doctor --fix` gets a kernel, and \
                 `cargo klp check` its types"
                    .into()
            }),
        }
    }

    /// The same kernel with a module of it, or why its types are not known.
    pub(super) fn with_module(self, name: &str) -> Result<Self, String> {
        let in_directory = |directory: PathBuf| {
            let file = fs::read_to_string(directory.join(PATH)).ok().map(PathBuf::from);
            // A kernel that was removed has left its types.
            let file = file.filter(|file| file.is_file());
            let module = Module { name: name.into(), btf: directory.join(BTF), file };
            Self { file: directory.with_file_name("vmlinux"), module: Some(module) }
        };
        if let Ok(command) = env::var(names::TYPES) {
            return asked(command.split(names::COMMAND_SEPARATOR), name, "")
                .map(in_directory)
                .map_err(|why| or_absent(why, name));
        }
        // Here is no build: what is at hand will do, else `cargo-klp` is asked, if it is installed.
        let running = self.file.with_file_name(name);
        if running.is_file() {
            return Ok(Self { module: Some(Module { name: name.into(), btf: running, file: None }), ..self });
        }
        if let Some(directory) = cached(&self.file, name) {
            return Ok(in_directory(directory));
        }
        let release = release(&self.file).ok_or_else(|| absent(name))?;
        asked(["cargo-klp", "klp", "types", "--kernel", &release], name, "")
            .map(in_directory)
            .map_err(|why| or_absent(why, name))
    }

    /// The directory of the cache with the answer to a request about the kernel's headers, or why there is none.
    pub(super) fn ask(&self, request: &str) -> Result<PathBuf, String> {
        let argument = headers::ARGUMENT;
        if let Ok(command) = env::var(names::TYPES) {
            return asked(command.split(names::COMMAND_SEPARATOR), argument, request);
        }
        let unknown = || {
            let kernel = self.kernel();
            format!("what the headers of {kernel} have is not known here yet: `cargo klp check` gets it")
        };
        let release = release(&self.file).ok_or_else(unknown)?;
        let known = self.file.ancestors().nth(3).and_then(|cache| known_answer(cache, &release, request));
        match known {
            Some(answer) => Ok(answer),
            None => asked(["cargo-klp", "klp", "types", "--kernel", &release], argument, request),
        }
        .map_err(|why| if why.is_empty() { unknown() } else { why })
    }

    /// Opens the kernel's types, and those of the module on top of them.
    pub(super) fn open(&self) -> Result<(Types, Option<Types>), String> {
        let unreadable = |file: &Path, error| format!("`{}` can't be read: {error}", file.display());
        let kernel = Types::open(&self.file).map_err(|error| unreadable(&self.file, error))?;
        let module = match &self.module {
            Some(Module { btf, .. }) => {
                Some(kernel.open_module(btf).map_err(|error| unreadable(btf, error))?)
            }
            None => None,
        };
        Ok((kernel, module))
    }

    /// The file of BTF that says what the types are.
    pub(super) fn btf(&self) -> &Path {
        self.module.as_ref().map_or(&self.file, |module| &module.btf)
    }

    /// The file of the module: another one makes other types.
    pub(super) fn module_file(&self) -> Option<&Path> {
        self.module.as_ref()?.file.as_deref()
    }

    /// What the kernel, or the module, is called in messages.
    pub(super) fn name(&self) -> String {
        match &self.module {
            Some(module) => format!("{} of {}", module.name, self.kernel()),
            None => self.kernel(),
        }
    }

    /// What the kernel is called in messages.
    pub(super) fn kernel(&self) -> String {
        match release(&self.file) {
            Some(release) => format!("kernel {release}"),
            None => "the running kernel".into(),
        }
    }
}

fn absent(name: &str) -> String {
    format!("the types of `{name}` are not known here yet: `cargo klp check` gets them")
}

/// Why a module's types are not known: what the command said, if there is one.
fn or_absent(why: String, name: &str) -> String {
    if why.is_empty() { absent(name) } else { why }
}

/// The directory of the cache that `cargo klp` names for an argument, with this on its stdin. An error without text
/// says that there is no such command.
fn asked<'a>(
    command: impl IntoIterator<Item = &'a str>,
    argument: &str,
    stdin: &str,
) -> Result<PathBuf, String> {
    let mut words = command.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|_| String::new())?;
    if let Some(mut pipe) = child.stdin.take() {
        // A command that does not read it says why.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout).into());
    }
    let said = text(&output.stderr);
    Err(said.strip_prefix("error: ").unwrap_or(&said).to_owned())
}

/// The answer that the cache has to a request about headers of a release.
fn known_answer(cache: &Path, release: &str, request: &str) -> Option<PathBuf> {
    let kernels = fs::read_dir(cache.join(headers::DIRECTORY)).ok()?.flatten().map(|entry| entry.path());
    let same = kernels.filter(|kernel| without_hash(kernel).as_deref() == Some(release));
    let answers = same.map(|kernel| kernel.join(headers::key(request)));
    answers.filter(|answer| answer.join(headers::ANSWER).is_file()).max_by_key(|answer| modified(answer))
}

/// When a directory was written.
fn modified(directory: &Path) -> Option<SystemTime> {
    fs::metadata(directory).and_then(|found| found.modified()).ok()
}

/// The directory of a module of a kernel: the newest one of the release in the cache.
fn cached(kernel: &Path, name: &str) -> Option<PathBuf> {
    let entries_of = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    let own = kernel.parent()?;
    let release = without_hash(own)?;
    let same = entries_of(own.parent()?).filter(|other| without_hash(other).as_ref() == Some(&release));
    let modules = same.flat_map(|other| entries_of(&other).collect::<Vec<_>>());
    modules
        .filter(|directory| without_hash(directory).as_deref() == Some(name))
        .max_by_key(|directory| modified(directory))
}

/// The release of a file that `cargo klp` has made.
fn release(file: &Path) -> Option<String> {
    without_hash(file.parent()?)
}

/// The release or the module of a directory of the cache, whose name is that, `-` and a hash.
fn without_hash(directory: &Path) -> Option<String> {
    let (name, hash) = directory.file_name()?.to_str()?.rsplit_once('-')?;
    (hash.len() == 16).then(|| name.to_owned())
}

/// That of the kernel in the cache of `cargo klp` that the command takes by default, else that of the kernel that runs.
fn of_default() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set(names::CACHE)
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("klp")))
        .or_else(|| Some(set("HOME")?.join(".cache/klp")));
    let btf = cache.as_ref().map(|cache| cache.join("btf"));
    let entries = btf.and_then(|btf| fs::read_dir(btf).ok()).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path().join("vmlinux"));
    let known = files.filter(|file| fs::metadata(file).is_ok_and(|found| found.len() > 0));
    let machine = Machine::this();
    let places = cache.iter().map(|cache| cache.join("kernels")).chain([PathBuf::from("/lib/modules")]);
    let places: Vec<_> = places.collect();
    let is_installed = |release: &str| places.iter().any(|place| place.join(release).exists());
    let released = known.filter_map(|file| {
        let release = release(&file)?;
        Some((machine.rank(&release, is_installed(&release)), file))
    });
    let cached = released.max().map(|(_, file)| file);
    let running = PathBuf::from("/sys/kernel/btf/vmlinux");
    cached.or_else(|| running.exists().then_some(running))
}

/// What of a machine says which kernel is taken where none is named.
struct Machine {
    /// The release of the kernel that runs.
    running: String,
    /// The number of its Debian: 12. Unknown on another distribution.
    debian: Option<u64>,
}

impl Machine {
    fn this() -> Self {
        let text = |file| fs::read_to_string(file).unwrap_or_default();
        let os = text("/etc/os-release");
        let value =
            |key| os.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_matches('"').to_owned()));
        let is_debian = value("ID=").as_deref() == Some("debian");
        Self {
            running: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            debian: value("VERSION_ID=").filter(|_| is_debian).and_then(|number| number.parse().ok()),
        }
    }

    /// By what the kernel to take is the greatest, as in the command: the one that runs, one that is installed and not
    /// only a build directory that was named once, its series, no later Debian than the machine's, the numbers.
    fn rank(&self, release: &str, is_installed: bool) -> (bool, bool, bool, bool, Vec<u64>) {
        let debian = release.split('+').find_map(|part| part.strip_prefix("deb"));
        let debian = debian.and_then(|rest| rest.split('-').next()?.parse::<u64>().ok());
        let is_later = debian.zip(self.debian).is_some_and(|(kernels, machines)| kernels > machines);
        let numbers_of = |release| numbers(release).into_iter().take(2);
        let is_of_series = numbers_of(release).eq(numbers_of(&self.running));
        (release == self.running, is_installed, is_of_series, !is_later, numbers(release))
    }
}

/// The numbers in a release, by which releases are ordered.
fn numbers(release: &str) -> Vec<u64> {
    let digits = release.split(|letter: char| !letter.is_ascii_digit());
    digits.filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_files() {
        let of = |path: &str| release(Path::new(path));
        assert_eq!(of("/c/btf/6.1.0-56-amd64-0123456789abcdef/vmlinux").as_deref(), Some("6.1.0-56-amd64"));
        assert_eq!(of("/sys/kernel/btf/vmlinux"), None);
        assert_eq!(without_hash("/c/nf_tables-0123456789abcdef".as_ref()).as_deref(), Some("nf_tables"));
        assert_eq!(without_hash("/c/.nf_tables-0123456789abcdef.lock".as_ref()), None);
        assert!(numbers("6.12.9+deb12-amd64") < numbers("6.12.117+deb12-amd64"));
        assert!(numbers("6.1.0-56-amd64") < numbers("6.12.9+deb12-amd64"));
    }

    #[test]
    fn the_kernel_where_none_is_named() {
        const RELEASES: [&str; 4] =
            ["6.1.0-56-amd64", "6.12.117+deb12-amd64", "6.12.118+deb13-amd64", "7.3.4+deb13-amd64"];
        const OWN: &str = "7.3.4-own";
        let of = |running: &str, debian| {
            let machine = Machine { running: running.into(), debian };
            let all = RELEASES.into_iter().chain([OWN]);
            all.max_by_key(|release| machine.rank(release, *release != OWN)).unwrap()
        };
        assert_eq!(of(OWN, Some(12)), OWN);
        assert_eq!(of("6.18.44", Some(12)), RELEASES[1]);
        assert_eq!(of("6.18.44", Some(13)), RELEASES[3]);
        assert_eq!(of("6.18.44", None), RELEASES[3]);
        assert_eq!(of("6.1.0-50-amd64", Some(12)), RELEASES[0]);
        assert_eq!(of("6.12.100+deb13-amd64", Some(13)), RELEASES[2]);
        assert_eq!(of(RELEASES[3], Some(12)), RELEASES[3]);
    }
}
