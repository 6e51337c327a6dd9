//! Finds the symbol that a name and a position identify.

use super::{Object, Symbol, Symbols};
use crate::kernel::headers::definition;

/// The number of candidates to show for a name that is not unique.
const MOST_SHOWN: usize = 20;

/// The reason why a name and a position do not identify a symbol of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The object has no symbol of this name.
    Absent,
    /// The object has several symbols of this name, and no position was given.
    Ambiguous(Vec<Symbol>),
    /// The object has symbols of this name, but none at this position.
    NoSuchPosition(u64, Vec<Symbol>),
}

impl Object<'_> {
    /// The symbol that a name and a `sympos` identify: as for the kernel, 0 means the only one.
    ///
    /// # Errors
    ///
    /// There is no such symbol, or there are several and `sympos` is 0.
    pub fn lookup(&self, name: &str, sympos: u64) -> Result<Symbol, LookupError> {
        let mut named = self.named(name);
        match (named.len(), sympos) {
            (0, _) => Err(LookupError::Absent),
            (1, 0 | 1) => Ok(named.remove(0)),
            (_, 0) => Err(LookupError::Ambiguous(named)),
            (_, position) => match named.iter().position(|symbol| symbol.position == position) {
                Some(at) => Ok(named.swap_remove(at)),
                None => Err(LookupError::NoSuchPosition(position, named)),
            },
        }
    }

    /// Symbols, each in a line of its own with its neighbours, which tell the reader which is which.
    #[must_use]
    pub fn listed(&self, symbols: &[Symbol]) -> String {
        let line = |candidate: &Symbol| {
            let Symbol { position, kind, address, .. } = candidate;
            let around = self.neighbours(candidate);
            let around =
                around.map(|[before, after]| format!(", between {before} and {after}")).unwrap_or_default();
            format!("\n    sympos = {position}: `{kind}` at {address:#x}{around}")
        };
        let shown = symbols.iter().take(MOST_SHOWN).map(line).collect::<String>();
        match symbols.len().checked_sub(MOST_SHOWN) {
            None | Some(0) => shown,
            Some(more) => format!("{shown}\n    and {more} more"),
        }
    }
}

impl LookupError {
    /// The message for a wrong name or position; `write` shows how to write a position.
    #[must_use]
    pub fn message(&self, symbols: &Symbols<'_>, object: &Object<'_>, name: &str, write: &str) -> String {
        let of = &object.name;
        match self {
            Self::Absent => {
                if let Some(elsewhere) = symbols.elsewhere(of, name) {
                    return format!("`{name}` does not exist in {of}; {elsewhere}");
                }
                let kernel = &symbols.target().kernel;
                let of_header = definition(&kernel.kdir, kernel.arch(), name);
                let hint = of_header.map_or_else(|| symbols.similar(object, name), |found| found.to_string());
                format!("`{name}` does not exist in {of}: {hint}")
            }
            Self::Ambiguous(candidates) => format!(
                "`{name}` is not unique in {of}: write {write} with the position of the one you mean:{}",
                object.listed(candidates)
            ),
            Self::NoSuchPosition(position, candidates) => format!(
                "`{name}` has no position {position} in {of}: write {write} with one of these positions:{}",
                object.listed(candidates)
            ),
        }
    }
}
