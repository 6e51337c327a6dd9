//! What a function's code is: its bytes, and what it refers to.

use super::{Object, Symbol};
use crate::error::Result;

/// Where the code and the data of an object are.
pub(super) trait Layout {
    /// Where a function ends at the latest: where the next symbol is.
    fn end(&self, function: &Symbol) -> u64;

    /// The bytes at a symbol.
    fn bytes(&self, place: &Symbol, length: usize) -> Result<Vec<u8>>;

    /// Whether the code of a function names the address of a symbol.
    fn refers(&self, function: &Symbol, target: &Symbol) -> Result<bool>;
}

/// `endbr64`.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// A no-operation of the length of a call, which is what the kernel makes of calls to `__fentry__`.
const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
/// The instruction `call`, before its 4 bytes of distance.
const CALL: u8 = 0xe8;

impl Object<'_> {
    /// Whether the code of a function names the address of a symbol.
    pub fn refers(&self, function: &Symbol, target: &Symbol) -> Result<bool> {
        self.layout().refers(function, target)
    }

    /// How many bytes of a function come before its own code: `endbr64` where the kernel has it, and
    /// the place where ftrace redirects it. `None` where it does not start so.
    pub fn entry_length(&self, function: &Symbol) -> Result<Option<u64>> {
        let length = ENDBR64.len() + NOP5.len();
        let available = self.layout().end(function) - function.address;
        if available <= length as u64 {
            return Ok(None);
        }
        Ok(entry_length(&self.layout().bytes(function, length)?))
    }
}

fn entry_length(code: &[u8]) -> Option<u64> {
    let rest = code.strip_prefix(&ENDBR64).unwrap_or(code);
    let is_fentry = rest.starts_with(&NOP5) || rest.first() == Some(&CALL);
    is_fentry.then_some((code.len() - rest.len() + NOP5.len()) as u64)
}

/// Whether code that is at an address names another address: as x86 does, by four bytes that are the
/// distance from the end of the instruction, or the address itself.
///
/// The bytes are not decoded. That four of them are an address by chance is one case in millions.
pub(super) fn names_address(code: &[u8], at: u64, target: u64) -> bool {
    code.windows(4).enumerate().any(|(offset, bytes)| {
        let value = i32::from_le_bytes(*bytes.first_chunk().expect("a window of four"));
        let behind = at.wrapping_add(offset as u64 + 4);
        // An operand of 1, 2 or 4 bytes may follow.
        let relative = [0, 1, 2, 4]
            .iter()
            .any(|operand| behind.wrapping_add(*operand).wrapping_add_signed(value.into()) == target);
        relative || i64::from(value).cast_unsigned() == target
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_functions() {
        assert_eq!(entry_length(&[0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0, 0]), Some(9));
        assert_eq!(entry_length(&[0xf3, 0x0f, 0x1e, 0xfa, 0xe8, 1, 2, 3, 4]), Some(9));
        assert_eq!(entry_length(&[0x0f, 0x1f, 0x44, 0, 0, 0x55, 0, 0, 0]), Some(5));
        assert_eq!(entry_length(&[0xe8, 0, 0, 0, 0, 0x55, 0, 0, 0]), Some(5));
        assert_eq!(entry_length(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0, 0, 0, 0]), None);
        assert_eq!(entry_length(&[0x55, 0x48, 0x89, 0xe5, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn addresses_in_code() {
        let at = 0xffff_ffff_8100_0000_u64;
        // mov 0x100(%rip), %eax: from the end of the instruction.
        let load = [0x8b, 0x05, 0x00, 0x01, 0x00, 0x00];
        assert!(names_address(&load, at, at + 6 + 0x100));
        assert!(!names_address(&load, at, at + 0x100));
        // movb $1, 0x100(%rip)
        let store = [0xc6, 0x05, 0x00, 0x01, 0x00, 0x00, 0x01];
        assert!(names_address(&store, at, at + 7 + 0x100));
        // mov $0xffffffff82000000, %rdi
        let absolute = [0x48, 0xc7, 0xc7, 0x00, 0x00, 0x00, 0x82];
        assert!(names_address(&absolute, at, 0xffff_ffff_8200_0000));
        assert!(!names_address(&absolute, at, 0x8200_0000));
    }
}
