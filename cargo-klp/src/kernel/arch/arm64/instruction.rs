//! The instructions of arm64, as far as they matter for who calls whom and for addresses in registers.

/// A register by its number; 31 is the stack pointer or zero, and none that holds an address here.
pub(super) type Register = u8;

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    /// A call of an address.
    Call(u64),
    /// A call by a register.
    CallRegister(Register),
    /// A jump to an address.
    Jump(u64),
    /// A jump to an address if a condition holds.
    JumpIf(u64),
    /// A return, or a jump by a register.
    Leave,
    /// An address comes into a register.
    Address(Register, u64),
    /// The sum of a register and a number comes into a register.
    Add { to: Register, from: Register, number: u64 },
    /// A register comes into another.
    Move { to: Register, from: Register },
    /// An access to memory at a distance from a register, or at a place that depends on another register too (`None`).
    /// Accesses that change the register count the distance from what it was.
    Memory { base: Register, distance: Option<u64>, stored: [Register; 2], loaded: [Register; 2] },
    /// An access to memory at an address.
    MemoryAt { address: u64, loaded: Register },
    /// Any other: it may read these registers, and write this one.
    Other { read: [Register; 2], written: Register },
}

/// No register.
pub(super) const NONE: Register = 31;

/// The instructions of some code.
pub(super) fn words(code: &[u8]) -> impl Iterator<Item = u32> {
    code.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word))
}

impl Instruction {
    /// The instruction that a word at an address is.
    pub(super) fn decode(word: u32, at: u64) -> Self {
        let is = |mask: u32, value: u32| word & mask == value;
        let to = |distance: i64| at.wrapping_add_signed(distance);
        let target = |shift, bits| to(signed(word, shift, bits) * 4);
        let (d, n, m) = (register(word, 0), register(word, 5), register(word, 16));
        if is(0xfc00_0000, 0x9400_0000) {
            return Self::Call(target(0, 26));
        }
        if is(0xfc00_0000, 0x1400_0000) {
            return Self::Jump(target(0, 26));
        }
        // `b.cond`, and `cbz` and `cbnz`.
        if is(0xff00_0000, 0x5400_0000) || is(0x7e00_0000, 0x3400_0000) {
            return Self::JumpIf(target(5, 19));
        }
        // `tbz` and `tbnz`.
        if is(0x7e00_0000, 0x3600_0000) {
            return Self::JumpIf(target(5, 14));
        }
        // By a register, also with an authentication of the address.
        if is(0xfe00_0000, 0xd600_0000) {
            return if is(0x0060_0000, 0x0020_0000) { Self::CallRegister(n) } else { Self::Leave };
        }
        if is(0x1f00_0000, 0x1000_0000) {
            let distance = signed(word, 5, 19) * 4 + i64::from(word >> 29 & 3);
            let is_page = is(0x8000_0000, 0x8000_0000);
            let address =
                if is_page { (at & !0xfff).wrapping_add_signed(distance << 12) } else { to(distance) };
            return Self::Address(d, address);
        }
        // `add` and `sub` of 64 bits.
        if is(0xbf80_0000, 0x9100_0000) || is(0xff80_0000, 0xd100_0000) {
            let shift = if is(0x0040_0000, 0x0040_0000) { 12 } else { 0 };
            let number = u64::from(unsigned(word, 10, 12)) << shift;
            let is_sub = is(0x4000_0000, 0x4000_0000);
            return Self::Add { to: d, from: n, number: if is_sub { number.wrapping_neg() } else { number } };
        }
        if is(0xffe0_ffe0, 0xaa00_03e0) {
            return Self::Move { to: d, from: m };
        }
        if is(0x0a00_0000, 0x0800_0000) {
            return memory(word, at);
        }
        // `movz` and the like read no register; others with a number read one.
        if is(0x1c00_0000, 0x1000_0000) {
            let is_wide = is(0x1f80_0000, 0x1280_0000);
            return Self::Other { read: [if is_wide { NONE } else { n }, NONE], written: d };
        }
        if is(0x0e00_0000, 0x0a00_0000) {
            // A comparison under a condition writes flags alone.
            let written = if is(0x1fe0_0000, 0x1a40_0000) { NONE } else { d };
            return Self::Other { read: [n, m], written };
        }
        Self::Other { read: [NONE; 2], written: NONE }
    }
}

/// An access to memory.
fn memory(word: u32, at: u64) -> Instruction {
    let is = |mask: u32, value: u32| word & mask == value;
    let (t, base, second) = (register(word, 0), register(word, 5), register(word, 10));
    let of_vectors = is(0x0400_0000, 0x0400_0000);
    let held = |register| if of_vectors { NONE } else { register };
    let (size, opcode) = (word >> 30, word >> 22 & 3);
    let access = |is_load: bool, distance: Option<u64>, registers: [Register; 2]| {
        let (loaded, stored) = if is_load { (registers, [NONE; 2]) } else { ([NONE; 2], registers) };
        Instruction::Memory { base, distance, stored: stored.map(held), loaded: loaded.map(held) }
    };
    if is(0x3b00_0000, 0x1800_0000) {
        let address = at.wrapping_add_signed(signed(word, 5, 19) * 4);
        return Instruction::MemoryAt { address, loaded: held(t) };
    }
    // Two registers.
    if is(0x3a00_0000, 0x2800_0000) {
        let scale = if of_vectors { 2 + size } else { 2 + (size >> 1) };
        let is_post = is(0x0180_0000, 0x0080_0000);
        let distance = if is_post { 0 } else { signed(word, 15, 7) << scale };
        return access(is(0x0040_0000, 0x0040_0000), Some(distance.cast_unsigned()), [t, second]);
    }
    // Among accesses to vectors, the upper bit of the opcode stands for 128 bits.
    let is_load = if of_vectors { opcode & 1 == 1 } else { opcode != 0 };
    if is(0x3b00_0000, 0x3900_0000) {
        let scale = if of_vectors && opcode & 2 == 2 { 4 } else { size };
        return access(is_load, Some(u64::from(unsigned(word, 10, 12)) << scale), [t, NONE]);
    }
    if is(0x3b20_0000, 0x3800_0000) {
        let is_post = is(0x0c00, 0x0400);
        let distance = if is_post { 0 } else { signed(word, 12, 9) };
        return access(is_load, Some(distance.cast_unsigned()), [t, NONE]);
    }
    // Atomic ones read one register and write another.
    if is(0x3b20_0c00, 0x3820_0000) {
        let stored = [held(register(word, 16)), NONE];
        return Instruction::Memory { base, distance: Some(0), stored, loaded: [held(t), NONE] };
    }
    if is(0x3b20_0c00, 0x3820_0800) {
        return access(is_load, None, [t, NONE]);
    }
    // Exclusive and ordered ones.
    if is(0x3f00_0000, 0x0800_0000) {
        return access(is(0x0040_0000, 0x0040_0000), Some(0), [t, NONE]);
    }
    access(true, None, [NONE; 2])
}

fn register(word: u32, shift: u32) -> Register {
    (word >> shift & 31) as Register
}

fn unsigned(word: u32, shift: u32, bits: u32) -> u32 {
    word >> shift & ((1 << bits) - 1)
}

fn signed(word: u32, shift: u32, bits: u32) -> i64 {
    let up = 32 - bits;
    i64::from((unsigned(word, shift, bits) << up).cast_signed() >> up)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `bti c`.
    pub(in super::super) const BTI: u32 = 0xd503_245f;
    pub(in super::super) const RET: u32 = 0xd65f_03c0;
    /// `bl` and `b` by 0.
    pub(in super::super) const BL: u32 = 0x9400_0000;
    pub(in super::super) const B: u32 = 0x1400_0000;
    /// `adrp x0, 0`.
    pub(in super::super) const ADRP: u32 = 0x9000_0000;
    /// `add x0, x0, #0`.
    pub(in super::super) const ADD: u32 = 0x9100_0000;
    /// `ldr w1, [x0]`.
    pub(in super::super) const LDR: u32 = 0xb940_0001;

    /// The code that consists of some words.
    pub(in super::super) fn code(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// As `aarch64-linux-gnu-as` writes them.
    #[test]
    fn instructions_are_told_apart() {
        use Instruction::*;
        let memory = |base, distance: i64, stored, loaded| Memory {
            base,
            distance: Some(distance.cast_unsigned()),
            stored,
            loaded,
        };
        let none = [NONE; 2];
        for (word, text, expected) in [
            (0x9400_0004, "bl +16", Call(0x1010)),
            (0x17ff_ffff, "b -4", Jump(0xffc)),
            (0x5400_0040, "b.eq +8", JumpIf(0x1008)),
            (0xb500_0041, "cbnz x1, +8", JumpIf(0x1008)),
            (0x3618_0042, "tbz w2, #3, +8", JumpIf(0x1008)),
            (0xd63f_0060, "blr x3", CallRegister(3)),
            (0xd61f_0060, "br x3", Leave),
            (0xd65f_03c0, "ret", Leave),
            (0xb000_0001, "adrp x1, +0x1000", Address(1, 0x2000)),
            (0x1000_0041, "adr x1, +8", Address(1, 0x1008)),
            (0x9100_4020, "add x0, x1, #16", Add { to: 0, from: 1, number: 16 }),
            (0x9140_0420, "add x0, x1, #1, lsl #12", Add { to: 0, from: 1, number: 0x1000 }),
            (0xd100_4020, "sub x0, x1, #16", Add { to: 0, from: 1, number: 16u64.wrapping_neg() }),
            (0xaa01_03e0, "mov x0, x1", Move { to: 0, from: 1 }),
            (0xb940_0420, "ldr w0, [x1, #4]", memory(1, 4, none, [0, NONE])),
            (0xf900_0820, "str x0, [x1, #16]", memory(1, 16, [0, NONE], none)),
            (0x3940_0c20, "ldrb w0, [x1, #3]", memory(1, 3, none, [0, NONE])),
            (0x3d80_0420, "str q0, [x1, #16]", memory(1, 16, none, none)),
            (0xf85f_8020, "ldur x0, [x1, #-8]", memory(1, -8, none, [0, NONE])),
            (0xf840_8420, "ldr x0, [x1], #8", memory(1, 0, none, [0, NONE])),
            (0xa941_0820, "ldp x0, x2, [x1, #16]", memory(1, 16, none, [0, 2])),
            (0x2900_8820, "stp w0, w2, [x1, #4]", memory(1, 4, [0, 2], none)),
            (
                0xf862_6820,
                "ldr x0, [x1, x2]",
                Memory { base: 1, distance: None, stored: none, loaded: [0, NONE] },
            ),
            (0x885f_7c20, "ldxr w0, [x1]", memory(1, 0, none, [0, NONE])),
            (0xf820_0022, "ldadd x0, x2, [x1]", memory(1, 0, [0, NONE], [2, NONE])),
            (0x5800_0040, "ldr x0, +8", MemoryAt { address: 0x1008, loaded: 0 }),
            (0x8b02_0020, "add x0, x1, x2", Other { read: [1, 2], written: 0 }),
            (0xfa42_1020, "ccmp x1, x2, #0, ne", Other { read: [1, 2], written: NONE }),
            (0xd280_0020, "mov x0, #1", Other { read: [NONE, NONE], written: 0 }),
            (0x9240_0020, "and x0, x1, #1", Other { read: [1, NONE], written: 0 }),
            (0xd503_201f, "nop", Other { read: none, written: NONE }),
        ] {
            assert_eq!(Instruction::decode(word, 0x1000), expected, "{text}");
        }
    }
}
