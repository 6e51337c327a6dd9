//! What goes wrong, and the exit codes.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How a command ended; its number is the exit code. Wrong arguments give 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is as it was asked for; `status`: no transition runs.
    Done = 0,
    /// The command failed, and has changed nothing.
    Failed = 1,
    /// A patch was looked at, or the kernel looked at it, and it does not fit: nothing has changed.
    Refused = 3,
    /// A transition is running: tasks run old and new code.
    InTransition = 4,
    /// A transition stalled and was taken back: all is as before.
    Reversed = 5,
    /// A patch that is installed for this kernel is not in effect.
    NotInEffect = 6,
    /// Nothing can be loaded, enabled or disabled until the machine is started again.
    Stuck = 7,
}

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// What was tried: "read", "write", …
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },

    /// A request that cannot be carried out as written.
    #[error("{message}")]
    Request {
        /// What is wrong with it.
        message: String,
        /// What to do instead.
        help: String,
    },

    /// A patch does not fit the machine as it is.
    #[error("{name} was not loaded, and nothing has changed{}", listed(reasons))]
    Unfit {
        /// The patch.
        name: String,
        /// All reasons.
        reasons: Vec<String>,
        /// What to do instead.
        help: String,
    },

    /// A patch cannot be installed.
    #[error("{name} was not installed, and nothing has changed{}", listed(reasons))]
    Uninstallable {
        /// The patch.
        name: String,
        /// All reasons.
        reasons: Vec<String>,
        /// What to do instead.
        help: String,
    },

    /// The kernel refused a module.
    #[error("the kernel refused {name}: {}{}", meaning(*errno), listed(log))]
    Kernel {
        /// The patch.
        name: String,
        /// Its answer.
        errno: Errno,
        /// What it logged meanwhile.
        log: Vec<String>,
        /// The next thing to try, where that is known.
        help: Option<String>,
    },

    /// A transition is running, and another one can't begin.
    #[error("{patch} is in transition, and until that ends no patch can be enabled or disabled")]
    Busy {
        /// The patch in transition.
        patch: String,
    },

    /// The task that loaded a patch has died with the livepatch mutex locked.
    #[error("the task that loaded {patch} has died in it: the kernel's livepatch mutex stays locked")]
    Stuck {
        /// The patch.
        patch: String,
    },
}

impl Error {
    /// An [`Error::Io`] for `map_err`.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// The next thing to try.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run it as root".into())
            }
            Self::Io { what, source, .. } => match source.kind() {
                io::ErrorKind::ReadOnlyFilesystem => Some("remount the file system for writing".into()),
                io::ErrorKind::NotFound if *what == "open" => Some("check the path".into()),
                io::ErrorKind::StorageFull => Some("make room on the file system".into()),
                _ => None,
            },
            Self::Kernel { name, errno, help, .. } => help.clone().or_else(|| next(name, *errno)),
            Self::Request { help, .. } | Self::Unfit { help, .. } | Self::Uninstallable { help, .. } => Some(help.clone()),
            Self::Busy { .. } => {
                Some("`klp blockers` shows what holds it up; `klp reverse` takes it back".into())
            }
            Self::Stuck { .. } => Some(
                "load no module and run no modprobe, which would wait for ever; start the machine again: `reboot` \
                 may hang, `reboot -ff` does not"
                    .into(),
            ),
        }
    }

    /// How the command ended.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } | Self::Request { .. } => Exit::Failed,
            Self::Unfit { .. } | Self::Uninstallable { .. } | Self::Kernel { .. } => Exit::Refused,
            Self::Busy { .. } => Exit::InTransition,
            Self::Stuck { .. } => Exit::Stuck,
        }
    }
}

/// What an answer of the module loader means.
fn meaning(errno: Errno) -> String {
    let meaning = match errno {
        Errno::PERM => "modules may be loaded by root only, or no more at all (kernel.modules_disabled)",
        Errno::NOEXEC => "the file is not a module for this kernel (vermagic, symbol versions or format)",
        Errno::KEYREJECTED => "the module has no signature that it trusts",
        Errno::BADMSG => "it can't read the module's signature",
        Errno::NOKEY => "it enforces signatures, and has no key for that of the module",
        Errno::EXIST => "a module of this name is loaded",
        Errno::NOENT => "it needs a symbol that neither the kernel nor a loaded module has",
        Errno::INVAL => "the livepatch core or the patch itself does not accept it",
        Errno::BUSY => "another patch is in transition",
        Errno::NODEV => "a function that it redirects does not exist, or can't be redirected",
        other => return other.to_string(),
    };
    format!("{meaning} ({errno})")
}

/// What to do about an answer of the module loader.
fn next(name: &str, errno: Errno) -> Option<String> {
    Some(match errno {
        Errno::PERM => {
            "run it as root; after `kernel.modules_disabled=1`, only a reboot allows modules again".into()
        }
        Errno::EXIST => format!("`klp status` shows it; `klp unload {name}` removes it"),
        Errno::BUSY => "`klp blockers` shows what holds that up".into(),
        _ => "`dmesg | tail` shows all that the kernel has said".into(),
    })
}

fn listed(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}
