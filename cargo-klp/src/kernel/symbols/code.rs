//! The code of functions: its bytes, and the symbols that it refers to.

use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, OpKind};

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

/// `endbr64`.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// A no-operation as long as a call: the kernel replaces calls to `__fentry__` with it.
const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
/// The opcode of `call`, before its 4 bytes of distance.
const CALL: u8 = 0xe8;

impl Object<'_> {
    /// Whether the code of a function names the address of a symbol.
    pub fn refers(&self, function: &Symbol, target: &Symbol) -> Result<bool> {
        self.layout().refers(function, target)
    }

    /// The number of bytes before a function's own code: `endbr64` if the kernel has it, and the instruction that
    /// ftrace replaces. `None` if the function does not start like this.
    pub fn entry_length(&self, function: &Symbol) -> Result<Option<u64>> {
        let length = ENDBR64.len() + NOP5.len();
        let available = self.layout().end(function).saturating_sub(function.address);
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

/// Whether code at an address refers to an address in a range: by the distance from the end of the
/// instruction, by the address itself, or by the address of a table.
pub(super) fn names_address(code: &[u8], at: u64, targets: &Range<u64>) -> bool {
    Decoder::with_ip(64, code, at, DecoderOptions::NONE).iter().any(|instruction| {
        let memory = instruction.op_kinds().any(|kind| kind == OpKind::Memory);
        let immediate =
            instruction.op_kinds().any(|kind| matches!(kind, OpKind::Immediate32to64 | OpKind::Immediate64));
        (memory && targets.contains(&instruction.memory_displacement64()))
            || (immediate && targets.contains(&instruction.immediate(instruction.op_count() - 1)))
    })
}

/// The ends of the instructions in some code.
pub(super) fn ends(code: &[u8]) -> Vec<u64> {
    Decoder::with_ip(64, code, 0, DecoderOptions::NONE)
        .iter()
        .map(|instruction| instruction.next_ip())
        .collect()
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
        const AT: u64 = 0xffff_ffff_8100_0000;
        let names = |code: &[u8], target: u64| names_address(code, AT, &(target..target + 4));
        // mov 0x100(%rip), %eax: from the end of the instruction.
        let load = [0x8b, 0x05, 0x00, 0x01, 0x00, 0x00];
        assert!(names(&load, AT + 6 + 0x100));
        assert!(!names(&load, AT + 6 + 0x100 + 4) && !names(&load, AT + 6 + 0x100 - 4));
        // movl $1, 0x100(%rip): the number stands behind the distance.
        let store = [0xc7, 0x05, 0x00, 0x01, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00];
        assert!(names(&store, AT + 10 + 0x100));
        assert!(!names(&store, AT + 6 + 0x100));
        // mov $0xffffffff82000000, %rdi
        let absolute = [0x48, 0xc7, 0xc7, 0x00, 0x00, 0x00, 0x82];
        assert!(names(&absolute, 0xffff_ffff_8200_0000));
        assert!(!names(&absolute, 0x8200_0000));
        // mov -0x7e000000(,%rax,8), %rax
        let table = [0x48, 0x8b, 0x04, 0xc5, 0x00, 0x00, 0x00, 0x82];
        assert!(names(&table, 0xffff_ffff_8200_0000));
        assert_eq!(ends(&[load, load].concat()), [6, 12]);
    }
}
