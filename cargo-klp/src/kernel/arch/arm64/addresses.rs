//! The addresses that code names: `adrp` loads that of a page, and `add` or the access itself adds the rest.
//!
//! GCC loads one address for several variables that stand beside each other, and reaches all of them by their distances
//! from it. So what counts is what an access uses, or what leaves the function's hands as a pointer; not each address
//! that is in a register once.

use std::collections::{BTreeSet, HashMap};

use object::elf::{
    R_AARCH64_ADD_ABS_LO12_NC, R_AARCH64_ADR_PREL_LO21, R_AARCH64_ADR_PREL_PG_HI21,
    R_AARCH64_ADR_PREL_PG_HI21_NC, R_AARCH64_LDST8_ABS_LO12_NC, R_AARCH64_LDST16_ABS_LO12_NC,
    R_AARCH64_LDST32_ABS_LO12_NC, R_AARCH64_LDST64_ABS_LO12_NC, R_AARCH64_LDST128_ABS_LO12_NC,
};

use super::Unapplied;
use super::instruction::{Instruction, NONE, Register, words};

/// Registers that hold arguments of a call.
const ARGUMENTS: std::ops::RangeInclusive<Register> = 0..=7;
/// Those that a called function may change.
const CHANGED: std::ops::RangeInclusive<Register> = 0..=18;

/// The addresses that each register may hold.
type Held = [BTreeSet<u64>; 31];

/// The addresses that some code names.
pub(super) fn named(code: &[u8], at: u64) -> BTreeSet<u64> {
    let mut reader = Reader::default();
    for (at, word) in (at..).step_by(4).zip(words(code)) {
        reader.read(at, Instruction::decode(word, at));
    }
    reader.named
}

/// Goes through code in the order of addresses.
#[derive(Default)]
struct Reader {
    held: Held,
    /// What the registers hold where jumps lead to, of those that lie ahead.
    ahead: HashMap<u64, Held>,
    /// Whether the instruction before does not lead to the next one.
    is_left: bool,
    named: BTreeSet<u64>,
}

impl Reader {
    fn read(&mut self, at: u64, instruction: Instruction) {
        if let Some(held) = self.ahead.remove(&at) {
            // Behind a jump, only other jumps lead here. Where none is known, one by a table may: what was held goes on.
            if self.is_left {
                self.held = Held::default();
            }
            join(&mut self.held, held);
        }
        self.is_left = matches!(instruction, Instruction::Jump(_) | Instruction::Leave);
        match instruction {
            Instruction::Call(_) | Instruction::CallRegister(_) => {
                ARGUMENTS.for_each(|register| self.name(register));
                CHANGED.for_each(|register| self.set(register, BTreeSet::new()));
            }
            Instruction::Jump(target) | Instruction::JumpIf(target) => {
                if target > at {
                    join(self.ahead.entry(target).or_default(), self.held.clone());
                }
                // It may be a call in tail position.
                if self.is_left {
                    ARGUMENTS.for_each(|register| self.name(register));
                }
            }
            Instruction::Leave => self.name(0),
            Instruction::Address(to, address) => self.set(to, [address].into()),
            Instruction::Add { to, from, number } => {
                let sum = self.of(from).iter().map(|address| address.wrapping_add(number)).collect();
                self.set(to, sum);
            }
            Instruction::Move { to, from } => self.set(to, self.of(from)),
            Instruction::Memory { base, distance, stored, loaded } => {
                let bases = self.of(base);
                self.named.extend(bases.iter().map(|base| base.wrapping_add(distance.unwrap_or(0))));
                stored.into_iter().for_each(|register| self.name(register));
                loaded.into_iter().for_each(|register| self.set(register, BTreeSet::new()));
            }
            Instruction::MemoryAt { address, loaded } => {
                self.named.insert(address);
                self.set(loaded, BTreeSet::new());
            }
            Instruction::Other { read, written } => {
                read.into_iter().for_each(|register| self.name(register));
                self.set(written, BTreeSet::new());
            }
        }
    }

    /// What a register may hold.
    fn of(&self, register: Register) -> BTreeSet<u64> {
        self.held.get(usize::from(register)).cloned().unwrap_or_default()
    }

    fn set(&mut self, register: Register, addresses: BTreeSet<u64>) {
        if register != NONE {
            self.held[usize::from(register)] = addresses;
        }
    }

    /// What a register holds is used as a pointer.
    fn name(&mut self, register: Register) {
        let held = self.of(register);
        self.named.extend(held);
    }
}

/// Adds what registers may hold on another way.
fn join(held: &mut Held, other: Held) {
    held.iter_mut().zip(other).for_each(|(held, other)| held.extend(other));
}

/// Applies a relocation to code at an address, if it is one of an address of data.
pub(super) fn apply(code: &mut [u8], at: u64, relocation: &Unapplied) {
    let Unapplied { offset, kind, value } = *relocation;
    let place = at.wrapping_add(offset);
    let low = |shift: u32| ((value & 0xfff) as u32 >> shift) << 10;
    let relative = |distance: u64| {
        let distance = distance as u32;
        (distance & 3) << 29 | (distance >> 2 & 0x7_ffff) << 5
    };
    let bits = match kind {
        R_AARCH64_ADR_PREL_PG_HI21 | R_AARCH64_ADR_PREL_PG_HI21_NC => {
            relative((value >> 12).wrapping_sub(place >> 12))
        }
        R_AARCH64_ADR_PREL_LO21 => relative(value.wrapping_sub(place)),
        R_AARCH64_ADD_ABS_LO12_NC | R_AARCH64_LDST8_ABS_LO12_NC => low(0),
        R_AARCH64_LDST16_ABS_LO12_NC => low(1),
        R_AARCH64_LDST32_ABS_LO12_NC => low(2),
        R_AARCH64_LDST64_ABS_LO12_NC => low(3),
        R_AARCH64_LDST128_ABS_LO12_NC => low(4),
        _ => return,
    };
    let word = usize::try_from(offset).ok().and_then(|start| code.get_mut(start..)?.first_chunk_mut());
    if let Some(word) = word {
        *word = (u32::from_le_bytes(*word) | bits).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::super::instruction::tests::{ADD, ADRP, B, BL, LDR, RET, code};

    const AT: u64 = 0xffff_8000_8000_0000;

    fn named(words: &[u32]) -> Vec<u64> {
        super::named(&code(words), AT).into_iter().map(|address| address.wrapping_sub(AT)).collect()
    }

    #[test]
    fn an_access_adds_its_distance() {
        assert_eq!(named(&[ADRP, LDR]), [0]);
        assert_eq!(named(&[ADRP, LDR | 2 << 10]), [8]);
        assert_eq!(named(&[ADRP, ADD | 0x10 << 10, LDR | 2 << 10, RET]), [0x10, 0x18]);
    }

    /// Of two variables beside each other, only the one that is read.
    #[test]
    fn an_address_is_no_name_before_it_is_used() {
        // The register is written anew before the function ends.
        assert_eq!(named(&[ADRP, ADD, LDR & !1 | 1 << 10, RET]), [4]);
    }

    #[test]
    fn what_leaves_the_function_is_named() {
        assert_eq!(named(&[ADRP, ADD | 0x20 << 10, BL | 0x100]), [0x20]);
        assert_eq!(named(&[ADRP, ADD | 0x20 << 10, RET]), [0x20]);
        assert_eq!(named(&[ADRP, ADD | 0x20 << 10, B | 0x1000]), [0x20]);
        // str x0, [x1]; cmp x0, x1
        assert_eq!(named(&[ADRP, 0xf900_0020, ADRP | 1 << 29]), [0]);
        assert_eq!(named(&[ADRP, 0xeb01_001f, ADRP | 1 << 29]), [0]);
    }

    #[test]
    fn a_call_changes_registers() {
        assert_eq!(named(&[ADRP | 9, BL | 0x100, LDR | 9 << 5]), [0u64; 0]);
        assert_eq!(named(&[ADRP | 19, BL | 0x100, LDR | 19 << 5]), [0]);
    }

    #[test]
    fn what_is_held_follows_jumps() {
        // adrp x0; b.eq to the last; adrp x0, one page on; ret; ldr.
        let code = [ADRP, 0x5400_0060, ADRP | 1 << 29, RET, LDR | 1 << 10];
        assert_eq!(named(&code), [4, 0x1000]);
        // No jump is known to lead to the last one: a table may.
        assert_eq!(named(&[ADRP | 1, RET, LDR | 1 << 5 | 1 << 10]), [4]);
    }
}
