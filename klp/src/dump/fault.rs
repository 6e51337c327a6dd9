//! Why a dump can't be read.

use std::fmt::Display;

/// The result of reading a dump.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// What is wrong with a dump, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong: "it …".
    pub what: String,
    /// The next thing to try.
    pub help: String,
    /// Whether only a page is missing that the dump should have.
    pub is_missing: bool,
}

impl Fault {
    /// A fault, with the next thing to try.
    pub fn new(what: impl Display, help: impl Display) -> Self {
        Self { what: what.to_string(), help: help.to_string(), is_missing: false }
    }

    /// The file is not what its own beginning says.
    pub fn damaged(what: impl Display) -> Self {
        Self::new(format_args!("it is damaged: {what}"), "copy it again, as a whole")
    }

    /// The dump lacks a page.
    pub fn missing(page: u64) -> Self {
        let fault = Self::new(
            format_args!("page {page:#x} is not in it"),
            "it is cut off, or too much was left out: a makedumpfile that is older than the kernel (it says that the \
             version is not supported) leaves out more than it should; take the next dump with a newer one, or with less \
             than `-d 31`",
        );
        Self { is_missing: true, ..fault }
    }

    /// The memory of the kernel is not what the kernel itself leaves there.
    pub fn broken(what: impl Display) -> Self {
        Self::new(
            format_args!(
                "{what}: the kernel's memory was overwritten, or the dump was taken while it changed"
            ),
            "`crash` or `drgn` may still show a part",
        )
    }
}

/// What is there: none for what stands on a page that the dump lacks.
///
/// # Errors
///
/// Any other fault.
pub fn if_present<T>(read: Result<Option<T>>) -> Result<Option<T>> {
    match read {
        Err(fault) if fault.is_missing => Ok(None),
        read => read,
    }
}
