//! x86 of 64 bits.

use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use object::elf::{
    EM_X86_64, NAMES_R_X86_64, R_X86_64_32, R_X86_64_32S, R_X86_64_64, R_X86_64_NONE, R_X86_64_PC32,
    R_X86_64_PC64, R_X86_64_PLT32, RelocationType,
};

use super::{Arch, Code, Flow, Ftrace, Image, Qemu, Relocations, Rust, Unapplied};

/// The architecture.
pub static X86_64: Arch = Arch {
    name: "x86",
    machine: "x86_64",
    option: "CONFIG_X86_64",
    elf: EM_X86_64,
    debian: "amd64",
    cross: "x86_64-linux-gnu-",
    image: Image { built: "arch/x86/boot/bzImage", elf: "arch/x86/boot/bzImage" },
    // The upper 2 GiB.
    kernel_start: 0xffff_ffff_8000_0000,
    rust: Rust {
        target: "x86_64-unknown-none",
        flags: &[
            "-Crelocation-model=static",
            "-Ccode-model=kernel",
            // The unwinder reads what objtool writes, not .eh_frame.
            "-Cforce-unwind-tables=n",
            // objtool can't follow indirect jumps through tables under retpolines.
            "-Cjump-tables=n",
            // Without it, calls of memset and the like become GOT relocations, which the module loader refuses.
            "-Zplt=yes",
        ],
        kbuild_only: &[
            "-Ctarget-feature=-sse,-sse2,-sse3,-ssse3,-sse4.1,-sse4.2,-avx,-avx2",
            "-Cno-redzone=y",
            // The spelling of an older compiler, for -Cjump-tables=n.
            "-Zno-jump-tables",
            "-Zno-jump-tables=y",
            // objtool writes what the unwinder reads.
            "-Cforce-frame-pointers=y",
        ],
    },
    // `arch/x86/kernel/module.c`.
    relocations: Relocations {
        names: &NAMES_R_X86_64,
        applied: &[
            (R_X86_64_NONE, 0),
            (R_X86_64_64, 8),
            (R_X86_64_PC64, 8),
            (R_X86_64_PC32, 4),
            (R_X86_64_PLT32, 4),
            (R_X86_64_32, 4),
            (R_X86_64_32S, 4),
        ],
        calls: &[R_X86_64_PLT32, R_X86_64_PC32],
        pointer: R_X86_64_64,
        instead_of_got: "write `NAME` where the assembly has `NAME@GOTPCREL`, with `lea` in place of `mov`",
        needs_zero: true,
    },
    // Behind `endbr64`, where functions have it.
    ftrace: Ftrace { room: NOP.len() as u8, list: "__mcount_loc", places: &[0, ENDBR64.len() as i64] },
    code: &Instructions,
    qemu: Qemu {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        machine: "pc",
        processor: "max",
        console: "ttyS0",
        // On a busy machine an emulated timer is sometimes too late for the kernel's check, which would panic.
        parameters: &["no_timer_check"],
        boots_elf: true,
    },
};

/// `endbr64`.
pub const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// A no-operation as long as a call: the kernel replaces calls to `__fentry__` with it.
pub const NOP: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
/// The opcode of `call`, before its 4 bytes of distance.
pub const CALL: u8 = 0xe8;
/// That of `jmp`.
const JUMP: u8 = 0xe9;
/// The length of both.
const LENGTH: u64 = 5;

#[derive(Debug)]
struct Instructions;

impl Code for Instructions {
    fn entry_length(&self, code: &[u8]) -> Option<u64> {
        let rest = code.strip_prefix(&ENDBR64).unwrap_or(code);
        let is_fentry = rest.starts_with(&NOP) || rest.first() == Some(&CALL);
        is_fentry.then_some((code.len() - rest.len() + NOP.len()) as u64)
    }

    fn longest_entry(&self) -> usize {
        ENDBR64.len() + NOP.len()
    }

    /// By the distance from the end of the instruction, by the address itself, or by the address of a table.
    fn names(&self, code: &[u8], at: u64, targets: &Range<u64>) -> bool {
        Decoder::with_ip(64, code, at, DecoderOptions::NONE).iter().any(|instruction| {
            let memory = instruction.op_kinds().any(|kind| kind == OpKind::Memory);
            let immediate = instruction
                .op_kinds()
                .any(|kind| matches!(kind, OpKind::Immediate32to64 | OpKind::Immediate64));
            (memory && targets.contains(&instruction.memory_displacement64()))
                || (immediate && targets.contains(&instruction.immediate(instruction.op_count() - 1)))
        })
    }

    fn names_by_relocations(
        &self,
        code: &[u8],
        _at: u64,
        relocations: &[Unapplied],
        targets: &Range<u64>,
    ) -> bool {
        let ends = ends(code);
        relocations.iter().any(|relocation| {
            // The distance counts from the end of the instruction.
            let behind = match relocation.kind {
                R_X86_64_PC32 | R_X86_64_PLT32 => {
                    let end = ends.iter().find(|&&end| end > relocation.offset);
                    end.map_or(0, |end| end - relocation.offset)
                }
                _ => 0,
            };
            targets.contains(&relocation.value.wrapping_add(behind))
        })
    }

    fn branches(&self, code: &[u8], at: u64) -> Vec<(u64, u64)> {
        let all = code.windows(LENGTH as usize).zip(at..).filter_map(|(bytes, at)| {
            let distance = i32::from_le_bytes(*bytes[1..].first_chunk()?);
            [CALL, JUMP].contains(&bytes[0]).then(|| (at, (at + LENGTH).wrapping_add_signed(distance.into())))
        });
        all.collect()
    }

    fn add_flow(&self, code: &[u8], at: u64, own: &[Range<u64>], flow: &mut Flow) {
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

    fn is_direct_call(&self, code: &[u8], offset: usize, kind: RelocationType) -> bool {
        let opcode = offset.checked_sub(1).and_then(|before| code.get(before));
        X86_64.relocations.calls.contains(&kind) && matches!(opcode, Some(&(CALL | JUMP)))
    }
}

/// The ends of the instructions in some code.
fn ends(code: &[u8]) -> Vec<u64> {
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
        let entry_length = |code: &[u8]| Instructions.entry_length(code);
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
        let names = |code: &[u8], target: u64| Instructions.names(code, AT, &(target..target + 4));
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

    #[test]
    fn a_distance_counts_from_the_end_of_the_instruction() {
        // movl $1, 0(%rip): the place is 2 bytes into the instruction of 10.
        let store = [0xc7, 0x05, 0, 0, 0, 0, 0x01, 0, 0, 0];
        let relocation = Unapplied { offset: 2, kind: R_X86_64_PC32, value: 0x100 - 8 };
        let names = |target: u64| {
            Instructions.names_by_relocations(&store, 0x5000, &[relocation], &(target..target + 4))
        };
        assert!(names(0x100));
        assert!(!names(0x100 - 4) && !names(0x100 + 4));
    }

    #[test]
    fn calls_and_jumps_lead_to_their_targets() {
        // nop; call +0x10; jmp -0x20; endbr64
        let code = [0x90, 0xe8, 0x10, 0, 0, 0, 0xe9, 0xe0, 0xff, 0xff, 0xff, 0xf3, 0x0f, 0x1e, 0xfa];
        assert_eq!(Instructions.branches(&code, 0x1000), [(0x1001, 0x1016), (0x1006, 0x0feb)]);
    }

    fn flow(code: &[u8]) -> Flow {
        const AT: u64 = 0xffff_ffff_8100_0000;
        let mut flow = Flow::default();
        Instructions.add_flow(code, AT, &[AT..AT + code.len() as u64, AT + 0x100..AT + 0x200], &mut flow);
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

    #[test]
    fn only_calls_and_jumps_have_a_target_of_their_own() {
        let is_direct = |opcode: u8| Instructions.is_direct_call(&[opcode, 0, 0, 0, 0], 1, R_X86_64_PLT32);
        assert!(is_direct(CALL) && is_direct(JUMP) && !is_direct(0x8b));
        assert!(!Instructions.is_direct_call(&[CALL], 0, R_X86_64_PLT32));
        assert!(!Instructions.is_direct_call(&[CALL, 0, 0, 0, 0], 1, R_X86_64_32S));
    }
}
