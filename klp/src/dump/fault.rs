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
}

impl Fault {
    /// A fault, with the next thing to try.
    pub fn new(what: impl Display, help: impl Display) -> Self {
        Self { what: what.to_string(), help: help.to_string() }
    }

    /// The file is not what its own beginning says.
    pub fn damaged(what: impl Display) -> Self {
        Self::new(format_args!("it is damaged: {what}"), "copy it again, as a whole")
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
