//! The code of functions: its bytes, and the symbols that it refers to.

use super::{Object, Symbol};
use crate::error::Result;

/// Access to the code and data of an object.
pub(super) trait Layout {
    /// The latest possible end of a function: the next symbol. Not before it begins.
    fn end(&self, function: &Symbol) -> u64;

    /// The bytes at a symbol.
    fn bytes(&self, place: &Symbol, length: usize) -> Result<Vec<u8>>;

    /// Whether the code of a function names the address of a symbol.
    fn refers(&self, function: &Symbol, target: &Symbol) -> Result<bool>;
}

impl Object<'_> {
    /// Whether the code of a function names the address of a symbol.
    pub fn refers(&self, function: &Symbol, target: &Symbol) -> Result<bool> {
        self.layout().refers(function, target)
    }

    /// The number of bytes before a function's own code: what marks it as a target of pointers if the kernel has that,
    /// and the instructions that ftrace replaces. `None` if the function does not start like this.
    pub fn entry_length(&self, function: &Symbol) -> Result<Option<u64>> {
        let code = self.arch().code;
        let length = code.longest_entry();
        let available = self.layout().end(function).saturating_sub(function.address);
        if available <= length as u64 {
            return Ok(None);
        }
        Ok(code.entry_length(&self.layout().bytes(function, length)?))
    }
}
