//! A kernel's table of its symbols, described by a few numbers.

#[path = "../../../cargo-klp/src/kernel/symbols/kallsyms/example.rs"]
mod example;

/// The address of the part of an image that has the table.
pub const MAPPED_AT: u64 = 0xffff_ffff_8200_0000;

/// The contents of the table.
#[derive(Clone, Copy, Debug)]
pub struct Kallsyms {
    /// The number of symbols.
    pub symbols: u16,
    /// How much longer one name is than the others: above 127, its length takes two bytes.
    pub long: u16,
    /// The address that offsets are relative to.
    pub base: u64,
    /// The distance from one symbol to the next.
    pub step: u32,
    /// Whether the offsets come before the names, as up to Linux 6.3.
    pub offsets_first: bool,
    /// Whether there are distances in place of offsets, as in Linux 7.2.
    pub distances: bool,
}

impl Default for Kallsyms {
    fn default() -> Self {
        Self {
            symbols: 1000,
            long: 200,
            base: 0xffff_ffff_8100_0000,
            step: 16,
            offsets_first: false,
            distances: false,
        }
    }
}

impl Kallsyms {
    /// Writes the part of an image that contains the table.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let symbol = |number: u16| {
            let offset = -1 - u32::from(number).wrapping_mul(self.step).cast_signed();
            let long = if number == 10 { "x".repeat(self.long.into()) } else { String::new() };
            (offset.cast_unsigned(), format!("tklp_f{number}{long}"))
        };
        let symbols: Vec<(u32, String)> = (0..self.symbols).map(symbol).collect();
        if self.distances {
            let addresses = symbols.into_iter().map(|(offset, name)| {
                let address = self.base.wrapping_add_signed(-1 - i64::from(offset.cast_signed()));
                (address, name)
            });
            return example::distances(&addresses.collect::<Vec<_>>(), MAPPED_AT);
        }
        example::table(&symbols, self.base, self.offsets_first)
    }
}
