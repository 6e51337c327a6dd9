//! arm64, little endian.

mod addresses;
mod instruction;

use std::ops::Range;

use object::elf::{
    EM_AARCH64, NAMES_R_AARCH64, R_AARCH64_ABS16, R_AARCH64_ABS32, R_AARCH64_ABS64,
    R_AARCH64_ADD_ABS_LO12_NC, R_AARCH64_ADR_PREL_LO21, R_AARCH64_ADR_PREL_PG_HI21,
    R_AARCH64_ADR_PREL_PG_HI21_NC, R_AARCH64_CALL26, R_AARCH64_CONDBR19, R_AARCH64_JUMP26,
    R_AARCH64_LD_PREL_LO19, R_AARCH64_LDST8_ABS_LO12_NC, R_AARCH64_LDST16_ABS_LO12_NC,
    R_AARCH64_LDST32_ABS_LO12_NC, R_AARCH64_LDST64_ABS_LO12_NC, R_AARCH64_LDST128_ABS_LO12_NC,
    R_AARCH64_MOVW_PREL_G0, R_AARCH64_MOVW_PREL_G0_NC, R_AARCH64_MOVW_PREL_G1, R_AARCH64_MOVW_PREL_G1_NC,
    R_AARCH64_MOVW_PREL_G2, R_AARCH64_MOVW_PREL_G2_NC, R_AARCH64_MOVW_PREL_G3, R_AARCH64_MOVW_SABS_G0,
    R_AARCH64_MOVW_SABS_G1, R_AARCH64_MOVW_SABS_G2, R_AARCH64_MOVW_UABS_G0, R_AARCH64_MOVW_UABS_G0_NC,
    R_AARCH64_MOVW_UABS_G1, R_AARCH64_MOVW_UABS_G1_NC, R_AARCH64_MOVW_UABS_G2, R_AARCH64_MOVW_UABS_G2_NC,
    R_AARCH64_MOVW_UABS_G3, R_AARCH64_NONE, R_AARCH64_PREL16, R_AARCH64_PREL32, R_AARCH64_PREL64,
    R_AARCH64_TSTBR14, RelocationType,
};

use super::{Arch, Code, Flow, Ftrace, Image, Qemu, Relocations, Rust, Unapplied};
use instruction::{Instruction, words};

/// The architecture.
pub static ARM64: Arch = Arch {
    name: "arm64",
    machine: "aarch64",
    option: "CONFIG_ARM64",
    elf: EM_AARCH64,
    debian: "arm64",
    cross: "aarch64-linux-gnu-",
    // What boots is the kernel's memory, without addresses and symbols.
    image: Image { built: "arch/arm64/boot/Image", elf: "vmlinux" },
    // The upper half of 48 bits, the widest of the ranges that kernels are linked to.
    kernel_start: 0xffff_8000_0000_0000,
    rust: Rust {
        target: "aarch64-unknown-none-softfloat",
        flags: &[
            "-Crelocation-model=static",
            "-Cforce-unwind-tables=n",
            // Stacks are unwound by frame pointers alone, and by that the kernel decides when a task may be switched.
            "-Cforce-frame-pointers=y",
            // rustc before 1.98 does not tell LLVM of frame pointers in the functions that LLVM makes itself.
            "-Zllvm_module_flag=frame-pointer:u32:2:max",
        ],
        kbuild_only: &["-Ctarget-feature=-neon"],
    },
    // `arch/arm64/kernel/module.c`.
    relocations: Relocations {
        names: &NAMES_R_AARCH64,
        applied: &[
            (R_AARCH64_NONE, 0),
            (R_AARCH64_ABS64, 8),
            (R_AARCH64_ABS32, 4),
            (R_AARCH64_ABS16, 2),
            (R_AARCH64_PREL64, 8),
            (R_AARCH64_PREL32, 4),
            (R_AARCH64_PREL16, 2),
            (R_AARCH64_MOVW_UABS_G0, 4),
            (R_AARCH64_MOVW_UABS_G0_NC, 4),
            (R_AARCH64_MOVW_UABS_G1, 4),
            (R_AARCH64_MOVW_UABS_G1_NC, 4),
            (R_AARCH64_MOVW_UABS_G2, 4),
            (R_AARCH64_MOVW_UABS_G2_NC, 4),
            (R_AARCH64_MOVW_UABS_G3, 4),
            (R_AARCH64_MOVW_SABS_G0, 4),
            (R_AARCH64_MOVW_SABS_G1, 4),
            (R_AARCH64_MOVW_SABS_G2, 4),
            (R_AARCH64_MOVW_PREL_G0, 4),
            (R_AARCH64_MOVW_PREL_G0_NC, 4),
            (R_AARCH64_MOVW_PREL_G1, 4),
            (R_AARCH64_MOVW_PREL_G1_NC, 4),
            (R_AARCH64_MOVW_PREL_G2, 4),
            (R_AARCH64_MOVW_PREL_G2_NC, 4),
            (R_AARCH64_MOVW_PREL_G3, 4),
            (R_AARCH64_LD_PREL_LO19, 4),
            (R_AARCH64_ADR_PREL_LO21, 4),
            (R_AARCH64_ADR_PREL_PG_HI21, 4),
            (R_AARCH64_ADR_PREL_PG_HI21_NC, 4),
            (R_AARCH64_ADD_ABS_LO12_NC, 4),
            (R_AARCH64_LDST8_ABS_LO12_NC, 4),
            (R_AARCH64_LDST16_ABS_LO12_NC, 4),
            (R_AARCH64_LDST32_ABS_LO12_NC, 4),
            (R_AARCH64_LDST64_ABS_LO12_NC, 4),
            (R_AARCH64_LDST128_ABS_LO12_NC, 4),
            (R_AARCH64_TSTBR14, 4),
            (R_AARCH64_CONDBR19, 4),
            (R_AARCH64_JUMP26, 4),
            (R_AARCH64_CALL26, 4),
        ],
        calls: &[R_AARCH64_CALL26, R_AARCH64_JUMP26],
        pointer: R_AARCH64_ABS64,
        instead_of_got: "write `adrp` with `NAME` and `add` with `:lo12:NAME` where the assembly has `:got:NAME`",
        // It replaces a part of an instruction, whatever that was.
        needs_zero: false,
    },
    // Before the function where ftrace calls through a pointer that stands there (`DYNAMIC_FTRACE_WITH_CALL_OPS`), or
    // behind `bti c`, where functions have it.
    ftrace: Ftrace { room: 2, list: "__patchable_function_entries", places: &[-8, 0, 4] },
    code: &Instructions,
    qemu: Qemu {
        program: "qemu-system-aarch64",
        package: "qemu-system-arm",
        machine: "virt",
        // Return addresses are signed in a way of QEMU's own: to emulate the usual one takes most of the time.
        processor: "max,pauth-impdef=on",
        console: "ttyAMA0",
        parameters: &[],
        boots_elf: false,
    },
};

/// `bti c`.
const BTI_C: u32 = 0xd503_245f;
/// `nop`: the kernel replaces two of them in each function when it boots.
const NOP: u32 = 0xd503_201f;

#[derive(Debug)]
struct Instructions;

impl Code for Instructions {
    fn entry_length(&self, code: &[u8]) -> Option<u64> {
        let words: Vec<u32> = words(code).collect();
        match *words {
            [BTI_C, NOP, NOP, ..] => Some(12),
            [NOP, NOP, ..] => Some(8),
            _ => None,
        }
    }

    fn longest_entry(&self) -> usize {
        12
    }

    fn names(&self, code: &[u8], at: u64, targets: &Range<u64>) -> bool {
        addresses::named(code, at).iter().any(|address| targets.contains(address))
    }

    fn names_by_relocations(
        &self,
        code: &[u8],
        at: u64,
        relocations: &[Unapplied],
        targets: &Range<u64>,
    ) -> bool {
        let mut linked = code.to_vec();
        for relocation in relocations {
            addresses::apply(&mut linked, at, relocation);
        }
        self.names(&linked, at, targets)
    }

    fn branches(&self, code: &[u8], at: u64) -> Vec<(u64, u64)> {
        let places = (at..).step_by(4);
        let branch = |(at, word)| match Instruction::decode(word, at) {
            Instruction::Jump(target) | Instruction::Call(target) => Some((at, target)),
            _ => None,
        };
        places.zip(words(code)).filter_map(branch).collect()
    }

    fn add_flow(&self, code: &[u8], at: u64, own: &[Range<u64>], flow: &mut Flow) {
        for (at, word) in (at..).step_by(4).zip(words(code)) {
            match Instruction::decode(word, at) {
                Instruction::Call(target) => flow.calls.push(target),
                Instruction::Jump(target) | Instruction::JumpIf(target) => {
                    flow.can_leave |= !own.iter().any(|range| range.contains(&target));
                }
                Instruction::Leave => flow.can_leave = true,
                _ => {}
            }
        }
    }

    fn is_direct_call(&self, _code: &[u8], _offset: usize, kind: RelocationType) -> bool {
        ARM64.relocations.calls.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::instruction::tests::{ADD, ADRP, B, BL, BTI, LDR, RET, code};
    use super::*;

    #[test]
    fn entries_of_functions() {
        let entry_length = |words: &[u32]| Instructions.entry_length(&code(words));
        assert_eq!(entry_length(&[NOP, NOP, RET]), Some(8));
        assert_eq!(entry_length(&[BTI, NOP, NOP]), Some(12));
        assert_eq!(entry_length(&[NOP, RET, RET]), None);
        assert_eq!(entry_length(&[BTI, NOP, RET]), None);
        assert_eq!(entry_length(&[]), None);
    }

    #[test]
    fn calls_and_jumps_lead_to_their_targets() {
        // bl +0x10; ret; b -0x20
        let code = code(&[BL | 4, RET, B | (0x3ff_fff8)]);
        assert_eq!(Instructions.branches(&code, 0x1000), [(0x1000, 0x1010), (0x1008, 0xfe8)]);
    }

    fn flow(words: &[u32]) -> Flow {
        const AT: u64 = 0xffff_8000_8100_0000;
        let mut flow = Flow::default();
        let code = code(words);
        Instructions.add_flow(&code, AT, &[AT..AT + code.len() as u64, AT + 0x100..AT + 0x200], &mut flow);
        flow
    }

    #[test]
    fn a_function_that_never_returns() {
        // bl +0x300; b back; b +0x100, which is its cold part.
        let code = [BL | 0xc0, B | 0x3ff_ffff, B | 0x3e];
        assert_eq!(flow(&code), Flow { can_leave: false, calls: vec![0xffff_8000_8100_0300] });
    }

    #[test]
    fn ways_to_leave_a_function() {
        // ret; retaa; br x1; b +0x1000; b.eq +0x1000; cbz x0, +0x1000; tbz x0, #0, +0x1000
        for word in [RET, 0xd65f_0bff, 0xd61f_0020, B | 0x400, 0x5400_8000, 0xb400_8000, 0x3600_8000] {
            assert!(flow(&[word]).can_leave, "{word:x}");
        }
        assert!(!flow(&[0xd63f_0020]).can_leave, "blr x1");
    }

    #[test]
    fn what_is_not_linked_names_addresses_by_its_relocations() {
        let code = code(&[ADRP, LDR]);
        let names = |kind, target: u64| {
            let relocation = |offset, kind| Unapplied { offset, kind, value: 0x5678 };
            let all = [relocation(0, R_AARCH64_ADR_PREL_PG_HI21), relocation(4, kind)];
            Instructions.names_by_relocations(&code, 0x9000, &all, &(target..target + 4))
        };
        assert!(names(R_AARCH64_LDST32_ABS_LO12_NC, 0x5678));
        assert!(!names(R_AARCH64_LDST32_ABS_LO12_NC, 0x5674));
        assert!(names(R_AARCH64_NONE, 0x5000), "the other relocation alone");
        let add = self::code(&[ADRP, ADD, RET]);
        let all = [
            Unapplied { offset: 0, kind: R_AARCH64_ADR_PREL_PG_HI21, value: 0x5678 },
            Unapplied { offset: 4, kind: R_AARCH64_ADD_ABS_LO12_NC, value: 0x5678 },
        ];
        assert!(Instructions.names_by_relocations(&add, 0x9000, &all, &(0x5678..0x567c)));
    }

    #[test]
    fn only_calls_and_jumps_have_a_target_of_their_own() {
        for (kind, is_direct) in
            [(R_AARCH64_CALL26, true), (R_AARCH64_JUMP26, true), (R_AARCH64_ADR_PREL_PG_HI21, false)]
        {
            assert_eq!(Instructions.is_direct_call(&[], 0, kind), is_direct);
        }
    }
}
