//! Locates the functions of the source in a kernel or a module: the code that belongs to them, and the functions that
//! they were inlined into.
//!
//! BTF lacks this information, DWARF has it. DWARF is large, so it is read once, and the cache keeps an index under the
//! object's build ID: an index never serves another build of the kernel.

mod dwarf;
mod files;
mod index;
mod lines;
mod package;
mod sections;

use crate::error::Result;
use crate::host::sorted;
use crate::kernel::symbols::{Object, Symbol, Symbols};

pub use files::check_given;
pub(crate) use files::{help, stamp};
pub use lines::Lines;
pub(crate) use package::fetch;
pub(crate) use sections::contents;

/// The places of an object's functions.
#[derive(Debug)]
pub struct DebugInfo {
    index: String,
}

/// A function of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its place in the kernel's source, `file:line`.
    pub place: String,
    /// Its own code: empty if it is inlined everywhere, several pieces if the compiler made variants of it.
    pub copies: Vec<Code>,
    /// Other functions' code that contains copies of it, with the number of copies.
    pub inlined: Vec<(Code, u32)>,
}

/// A piece of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its symbol.
    pub name: String,
    /// Its address in vmlinux, its offset in the section of a module.
    pub address: u64,
}

impl DebugInfo {
    /// Reads those of an object, if this machine has debug information of exactly this build.
    pub fn of(symbols: &Symbols<'_>, object: &Object<'_>) -> Result<Option<Self>> {
        let Some(file) = files::index_of(symbols, object)? else { return Ok(None) };
        Ok(Some(Self { index: sorted::read(&file)? }))
    }

    /// Of the text of an index.
    #[must_use]
    pub fn of_index(index: String) -> Self {
        Self { index }
    }

    /// The text of the index, as the cache keeps it.
    #[must_use]
    pub fn index(&self) -> &str {
        &self.index
    }

    /// Reads those of a vmlinux or a module that contains debug information.
    pub fn read(elf: &[u8]) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self { index: index::make(elf)? })
    }

    /// The functions with a name: several if different files have one.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<Source> {
        index::named(&self.index, name).unwrap_or_default()
    }

    /// The function whose code a symbol names.
    #[must_use]
    pub fn of_symbol(&self, symbol: &Symbol) -> Option<Source> {
        let is_its = |code: &Code| code.is(symbol);
        self.named(stem(&symbol.name)).into_iter().find(|function| function.copies.iter().any(is_its))
    }
}

impl Code {
    /// Whether a symbol means this code.
    #[must_use]
    pub fn is(&self, symbol: &Symbol) -> bool {
        symbol.name == self.name && symbol.address == self.address
    }
}

/// A function's name in the source: the compiler adds `.isra.0` and the like.
#[must_use]
pub fn stem(symbol: &str) -> &str {
    symbol.split_once('.').map_or(symbol, |(stem, _)| stem)
}
