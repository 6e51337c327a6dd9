//! How a function's code goes on: whether it can return, and what it calls.

use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};

use super::{Kind, Object, Symbol};
use crate::error::Result;

/// What the code of a function of vmlinux does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Whether there is an instruction by which it may return or go on in another function.
    pub can_leave: bool,
    /// The addresses that it calls directly.
    pub calls: Vec<u64>,
}

impl Object<'_> {
    /// What the code of a function does; `None` for a module, in whose file calls and jumps have no targets yet.
    pub fn flow(&self, function: &Symbol) -> Result<Option<Flow>> {
        if !matches!(self.kind, Kind::Vmlinux(_)) {
            return Ok(None);
        }
        // gcc moves unlikely parts of a function elsewhere.
        let mut parts = self.starting_with(&format!("{}.cold", function.name));
        parts.insert(0, function.clone());
        let range = |part: &Symbol| part.address..self.layout().end(part);
        let own: Vec<Range<u64>> = parts.iter().map(range).collect();
        let mut flow = Flow::default();
        for (part, range) in parts.iter().zip(&own) {
            let length = usize::try_from(range.end - range.start).unwrap_or_default();
            add(&self.layout().bytes(part, length)?, range.start, &own, &mut flow);
        }
        Ok(Some(flow))
    }
}

/// Adds what some code at an address does, which is part of a function that has all of `own`.
fn add(code: &[u8], at: u64, own: &[Range<u64>], flow: &mut Flow) {
    for instruction in &mut Decoder::with_ip(64, code, at, DecoderOptions::NONE) {
        let target = instruction.near_branch_target();
        match (instruction.mnemonic(), instruction.op0_kind() == OpKind::NearBranch64) {
            (Mnemonic::Call, true) => flow.calls.push(target),
            // Where returns have a thunk, and calls in tail position: jumps to other functions.
            (_, true) => flow.can_leave |= !own.iter().any(|range| range.contains(&target)),
            (Mnemonic::Ret | Mnemonic::Jmp | Mnemonic::Iretq | Mnemonic::Sysretq, false) => {
                flow.can_leave = true
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(code: &[u8]) -> Flow {
        const AT: u64 = 0xffff_ffff_8100_0000;
        let mut flow = Flow::default();
        add(code, AT, &[AT..AT + code.len() as u64, AT + 0x100..AT + 0x200], &mut flow);
        flow
    }

    #[test]
    fn a_function_that_never_returns() {
        // call +0x300; jmp back; jmp +0x100, which is its cold part; then padding.
        let code =
            [&[0xe8, 0xfb, 0x02, 0, 0][..], &[0xeb, 0xf9], &[0xe9, 0xf4, 0, 0, 0], &[0xcc, 0xcc]].concat();
        assert_eq!(flow(&code), Flow { can_leave: false, calls: vec![0xffff_ffff_8100_0300] });
    }

    #[test]
    fn ways_to_leave_a_function() {
        for code in [
            &[0xc3][..],
            // To a thunk of returns, if a condition holds, and by a register.
            &[0xe9, 0, 0x10, 0, 0],
            &[0x0f, 0x84, 0, 0x10, 0, 0],
            &[0xff, 0xe0],
        ] {
            assert!(flow(code).can_leave, "{code:x?}");
        }
    }
}
