//! This process's terminal, handed to the guest.

use std::io;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The rows and columns of the terminal.
pub fn size() -> (u16, u16) {
    let size = tcgetwinsize(io::stdin()).map(|size| (size.ws_row, size.ws_col));
    // A terminal that nobody looks at has no size.
    size.ok().filter(|&(rows, columns)| rows > 0 && columns > 0).unwrap_or((24, 80))
}

/// While this exists, each key goes to the guest unchanged: the guest's terminal handles lines, echo and
/// interrupts.
pub struct Raw(Option<Termios>);

impl Raw {
    /// Does nothing if stdin is not a terminal.
    pub fn new() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // Keys that are handled here as well are a nuisance, not a failure.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &raw);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
