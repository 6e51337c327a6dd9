//! The one error type of the command.
//!
//! A message says what is wrong and where; [`Error::help`] adds the next command to try. Scripts
//! can rely on the [exit codes](exit).

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The exit codes of `cargo klp`.
///
/// The argument parser itself exits with code 2 on wrong arguments. `cargo klp run` exits with the guest command's
/// code, if the command ran.
pub mod exit {
    /// The work failed: a build failed, a tool complained, a file could not be read.
    pub const FAILED: u8 = 1;
    /// Something is missing on this machine; `cargo klp doctor --fix` gets it.
    pub const MISSING: u8 = 3;
    /// `cargo klp run` itself failed: the guest died, or the kernel refused a patch. As with `docker run`, this is not
    /// the code of the guest's command.
    pub const GUEST: u8 = 125;
}

/// The number of lines of the kernel log that a message shows.
const LOG_LINES: usize = 40;

/// An error as programs read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// The package that it is about, where the command works on several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What failed.
    pub error: String,
    /// The next thing to try.
    pub help: Option<String>,
    /// Why: each cause with its place in the source, `file:line: …`, if it has one.
    pub causes: Vec<String>,
}

impl Failure {
    /// The causes; the failure itself if it names none.
    #[must_use]
    pub fn into_causes(self) -> Vec<String> {
        match (self.causes.is_empty(), self.help) {
            (false, _) => self.causes,
            (true, None) => vec![self.error],
            (true, Some(help)) => vec![format!("{}; {help}", self.error)],
        }
    }
}

/// The reason why the command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // What the user asked for.
    /// A request that cannot be carried out as written.
    #[error("{message}")]
    Request {
        /// What is wrong with it.
        message: String,
        /// What to do instead.
        help: String,
    },

    /// A directory is not a kernel build directory.
    #[error("`{}` is not a kernel build directory: {why}", path.display())]
    NotAKernelDir {
        /// The directory.
        path: PathBuf,
        /// What it lacks.
        why: String,
    },

    /// The kernel cannot be livepatched.
    #[error("kernel {release} was built without {option}=y: it cannot load livepatches")]
    Unpatchable {
        /// The kernel's release.
        release: String,
        /// The configuration option that is not set.
        option: &'static str,
    },

    /// The kernel is older than the oldest one that klp supports.
    #[error("kernel {release} is older than 6.1, the oldest that klp supports")]
    TooOld {
        /// The kernel's release.
        release: String,
    },

    /// The kernel or the machine is of an architecture that is not supported.
    #[error("{what} is for {architecture}, and klp builds for {known}")]
    Architecture {
        /// The kernel.
        what: String,
        /// What it is for.
        architecture: String,
        /// What klp builds for.
        known: String,
    },

    // What the machine lacks.
    /// No kernel on this machine meets the request.
    #[error("no kernel {wanted} on this machine{}", available_list(available))]
    NoKernel {
        /// The kernel that was asked for, and the parts that it must have.
        wanted: String,
        /// The argument for `doctor --fix --kernel`.
        series: String,
        /// The releases on this machine.
        available: Vec<String>,
    },

    /// This machine has a series only in flavours that one must ask for.
    #[error("this machine has kernel {wanted} in special flavours only: {flavours}")]
    NoPlainKernel {
        /// The series that was asked for.
        wanted: String,
        /// The newest of the flavours.
        first: String,
        /// The releases on this machine, in one text.
        flavours: String,
    },

    /// A program, file or package is missing.
    #[error("{what} is missing: {needed_for}")]
    Missing {
        /// What is missing.
        what: String,
        /// What it is needed for.
        needed_for: String,
    },

    /// Several things are missing, as the table of `doctor` shows.
    #[error("missing: {}", what.join(", "))]
    MissingSome {
        /// Their names in the table.
        what: Vec<String>,
        /// The next command to try.
        help: String,
    },

    /// A kernel has no module of this name.
    #[error("kernel {release} has no module `{name}`: {why}")]
    NoModule {
        /// The kernel's release.
        release: String,
        /// The name.
        name: String,
        /// The nearest names, or that it is built in.
        why: String,
        /// What to do instead.
        help: String,
    },

    // What a tool printed.
    /// A program ended with an error.
    #[error("`{command}` failed ({status}){}", indented(output))]
    Tool {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its output.
        output: String,
    },

    /// A file could not be read or written, or has unexpected contents.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// What was tried: "read", "create", …
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },

    /// An object file is damaged, or of an unknown kind.
    #[error("cannot {what}: {source}")]
    Elf {
        /// What was tried.
        what: &'static str,
        /// What is wrong with the file.
        source: object::Error,
    },

    // What is wrong with a patch.
    /// rustc refused the patch, and printed why.
    #[error("patch `{package}` does not compile")]
    Compile {
        /// The patch's package.
        package: String,
        /// What it printed.
        errors: Vec<String>,
    },

    /// A step within Kbuild failed, and reported why.
    #[error("patch `{package}` was not built")]
    NotBuilt {
        /// The patch's package.
        package: String,
        /// Its reasons.
        causes: Vec<String>,
    },

    /// Kbuild failed for another reason.
    #[error("Kbuild failed on patch `{package}`{}", indented(output))]
    Kbuild {
        /// The patch's package.
        package: String,
        /// The output of make.
        output: String,
    },

    /// A tool of the kernel's build warned of the module, which may therefore not work.
    #[error("{tool} warned of the module{}", indented(lines))]
    Warnings {
        /// The tool.
        tool: &'static str,
        /// What it printed.
        lines: String,
    },

    /// Symbols that a patch declares do not exist, or are of the wrong kind.
    #[error("the patch can't use these symbols on {release}{}", indented(&faults.join("\n")))]
    Symbols {
        /// The kernel.
        release: String,
        /// The reasons, one for each symbol.
        faults: Vec<String>,
    },

    /// Conditions on the kernel are not written as they must be.
    #[error("the patch's `#[cfg]`s ask about the kernel in a way that klp does not know{}", indented(&faults.join("\n")))]
    Conditions {
        /// What is expected instead, each with its place in the source.
        faults: Vec<String>,
    },

    /// A patch does not fit a kernel.
    #[error("the patch does not fit {release}{}", indented(&faults.join("\n")))]
    Unfit {
        /// The kernel.
        release: String,
        /// The reasons, each with its place in the source.
        faults: Vec<String>,
    },

    /// A fix can't become a patch.
    #[error("`{}` can't become a patch as it is{}", diff.display(), indented(&faults.join("\n")))]
    NotPatchable {
        /// The diff.
        diff: PathBuf,
        /// The reasons, each with its place in the diff and what to do instead.
        faults: Vec<String>,
    },

    /// The types (BTF) of a kernel or a module could not be read.
    #[error("cannot read the types (BTF) of {of}: {source}")]
    Btf {
        /// The kernel or the module.
        of: String,
        /// What is wrong with them.
        source: klp_btf::Error,
    },

    /// An object file could not be changed.
    #[error("cannot {what}: {source}")]
    ElfBuild {
        /// What was tried.
        what: &'static str,
        /// What is wrong with the file.
        source: object::build::Error,
    },

    /// A table has fewer entries than the macros emitted.
    #[error("`{}` has lost entries: {found} of {emitted} {what}", path.display())]
    LostEntries {
        /// The object or module.
        path: PathBuf,
        /// The kind of entries.
        what: &'static str,
        /// The number that the macros emitted.
        emitted: u64,
        /// The number in the table.
        found: u64,
    },

    /// The kernel would refuse the finished module, or would not take it for a livepatch.
    #[error("`{}` is not the module that it should be{}", path.display(), indented(&faults.join("\n")))]
    Unloadable {
        /// The module.
        path: PathBuf,
        /// Everything that is wrong with it.
        faults: Vec<String>,
    },

    /// Some of several patches failed.
    #[error("{}", each(failed))]
    Several {
        /// Their packages, at least one, and what is wrong with each.
        failed: Vec<(String, Error)>,
    },

    // What happened in the guest.
    /// The guest could not be started, died, or did not end in time.
    #[error("{message}{}", indented(&last_lines(log, LOG_LINES)))]
    Guest {
        /// What happened.
        message: String,
        /// The kernel log; the message shows its end.
        log: String,
    },
}

impl Error {
    /// An [`Error::Io`] for `map_err`: `fs::read(p).map_err(Error::io("read", p))`.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// An [`Error::Elf`] for `map_err`.
    pub fn elf(what: &'static str) -> impl FnOnce(object::Error) -> Self {
        move |source| Self::Elf { what, source }
    }

    /// An [`Error::Btf`] for `map_err`.
    pub fn btf(of: impl Into<String>) -> impl FnOnce(klp_btf::Error) -> Self {
        let of = of.into();
        move |source| Self::Btf { of, source }
    }

    /// An [`Error::ElfBuild`] for `map_err`.
    pub fn elf_build(what: &'static str) -> impl FnOnce(object::build::Error) -> Self {
        move |source| Self::ElfBuild { what, source }
    }

    /// The next thing to try, unless the message says it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Request { help, .. } | Self::MissingSome { help, .. } | Self::NoModule { help, .. } => {
                Some(help.clone())
            }
            Self::NotAKernelDir { .. } => {
                Some("give the directory that `/lib/modules/RELEASE/build` points to, or a release with `--kernel`".into())
            }
            Self::TooOld { .. } | Self::Unpatchable { .. } => {
                Some("`cargo klp doctor --fix --kernel 6.12` gets a stock kernel that can".into())
            }
            Self::NoKernel { series, .. } => Some(format!("run `cargo klp doctor --fix --kernel {series}`")),
            Self::NoPlainKernel { wanted, first, .. } => Some(format!(
                "name the one you mean, such as `--kernel {first}`, or get the plain kernel with `cargo klp doctor \
                 --fix --kernel {wanted}`"
            )),
            Self::Missing { .. } => Some("run `cargo klp doctor --fix`".into()),
            Self::LostEntries { .. } => Some(
                "this is a defect of klp or of the linker: report it with the versions of rustc and ld"
                    .into(),
            ),
            Self::Unloadable { .. } => Some(
                "look for it in the patch's attributes (`#[link_section]`, `#[thread_local]`) and assembly; if it \
                 is not from there, report it with the versions of rustc and ld"
                    .into(),
            ),
            Self::Architecture { .. } => Some(
                "build for another kernel, or port klp: its `ARCHITECTURE.md` says what a port fills in".into(),
            ),
            Self::Tool { .. }
            | Self::Io { .. }
            | Self::Elf { .. }
            | Self::ElfBuild { .. }
            | Self::Symbols { .. }
            | Self::Unfit { .. }
            | Self::Conditions { .. }
            | Self::NotPatchable { .. }
            | Self::Btf { .. }
            | Self::Compile { .. }
            | Self::NotBuilt { .. }
            | Self::Kbuild { .. }
            | Self::Warnings { .. }
            | Self::Several { .. }
            | Self::Guest { .. } => None,
        }
    }

    /// The results of those of several patches that did not fail, and what is wrong with the others.
    pub(crate) fn separate<T>(
        results: impl IntoIterator<Item = (String, Result<T>)>,
    ) -> (Vec<T>, Result<()>) {
        let (mut good, mut failed) = (Vec::new(), Vec::new());
        for (package, result) in results {
            match result {
                Ok(value) => good.push(value),
                Err(error) => failed.push((package, error)),
            }
        }
        let outcome = match failed.len() {
            0 => Ok(()),
            1 if good.is_empty() => Err(failed.remove(0).1),
            _ => Err(Self::Several { failed }),
        };
        (good, outcome)
    }

    /// The error as programs read it: an object for each patch that failed.
    pub fn failures(&self) -> Vec<Failure> {
        match self {
            Self::Several { failed } => failed
                .iter()
                .map(|(package, error)| Failure { package: Some(package.clone()), ..error.failure() })
                .collect(),
            _ => vec![self.failure()],
        }
    }

    /// The error as programs read it, in one.
    pub fn failure(&self) -> Failure {
        let causes = match self {
            Self::Compile { errors: causes, .. }
            | Self::NotBuilt { causes, .. }
            | Self::Symbols { faults: causes, .. }
            | Self::Conditions { faults: causes }
            | Self::Unfit { faults: causes, .. }
            | Self::NotPatchable { faults: causes, .. }
            | Self::Unloadable { faults: causes, .. } => causes.clone(),
            Self::Kbuild { output: lines, .. } | Self::Warnings { lines, .. } => {
                lines.lines().map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Failure { package: None, error: self.to_string(), help: self.help(), causes }
    }

    /// The message, followed by the next thing to try.
    pub fn with_help(&self) -> String {
        self.help().map_or_else(|| self.to_string(), |help| format!("{self}; {help}"))
    }

    /// The exit code of the process, one of [`exit`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoKernel { .. }
            | Self::NoPlainKernel { .. }
            | Self::Missing { .. }
            | Self::MissingSome { .. } => exit::MISSING,
            Self::Guest { .. } => exit::GUEST,
            Self::Several { failed } => failed.first().map_or(exit::FAILED, |(_, error)| error.exit_code()),
            _ => exit::FAILED,
        }
    }
}

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// What is wrong with each of several patches.
fn each(failed: &[(String, Error)]) -> String {
    failed.iter().map(|(_, error)| error.with_help()).collect::<Vec<_>>().join("\n")
}

fn available_list(available: &[String]) -> String {
    if available.is_empty() {
        return String::new();
    }
    format!(" (here: {})", available.join(", "))
}

/// A text as an indented block below a message.
pub fn indented(text: &str) -> String {
    text.lines().map(|line| format!("\n    {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_of_short_and_long_texts() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 5), "a");
    }
}
