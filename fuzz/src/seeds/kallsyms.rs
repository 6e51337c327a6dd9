//! A kernel's table of its symbols, as `scripts/kallsyms.c` writes it.

/// What the table is to have.
#[derive(Clone, Copy, Debug)]
pub struct Kallsyms {
    /// How many symbols.
    pub symbols: u16,
    /// How long the name of one of them is: more than 127 takes two bytes for the length.
    pub long: u16,
    /// The address that the offsets count from.
    pub base: u64,
    /// From one symbol to the next.
    pub step: u32,
    /// Whether the addresses stand before the names, as up to Linux 6.3.
    pub offsets_first: bool,
}

impl Default for Kallsyms {
    fn default() -> Self {
        Self { symbols: 1000, long: 200, base: 0xffff_ffff_8100_0000, step: 16, offsets_first: false }
    }
}

impl Kallsyms {
    /// The part of an image that has the table.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut image = Image(b"before it".to_vec());
        let offsets: Vec<u8> = (0..u32::from(self.symbols))
            .flat_map(|number| (-1 - number.wrapping_mul(self.step).cast_signed()).to_le_bytes())
            .collect();
        if self.offsets_first {
            image.add(&offsets);
            image.add(&self.base.to_le_bytes());
        }
        image.add(&u64::from(self.symbols).to_le_bytes());
        let (mut names, mut marks) = (Vec::new(), Vec::new());
        for number in 0..self.symbols {
            if number % 256 == 0 {
                marks.extend((names.len() as u32).to_le_bytes());
            }
            // The token 1 is all of `klp_`.
            let mut name = format!("t\u{1}f{number}").into_bytes();
            if number == 10 {
                name.resize(usize::from(self.long).max(2), b'x');
            }
            if name.len() > 0x7f {
                names.extend([name.len() as u8 | 0x80, (name.len() >> 7) as u8]);
            } else {
                names.push(name.len() as u8);
            }
            names.extend(name);
        }
        image.add(&names);
        image.add(&marks);
        let (mut texts, mut index) = (Vec::new(), Vec::new());
        for token in 0..=255u8 {
            index.extend((texts.len() as u16).to_le_bytes());
            match token {
                1 => texts.extend(b"klp_"),
                b' '..=b'~' => texts.push(token),
                _ => {}
            }
            texts.push(0);
        }
        image.add(&texts);
        image.add(&index);
        if !self.offsets_first {
            image.add(&offsets);
            image.add(&self.base.to_le_bytes());
        }
        image.0
    }
}

struct Image(Vec<u8>);

impl Image {
    /// Each part starts at a multiple of 8.
    fn add(&mut self, part: &[u8]) {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        self.0.extend(part);
    }
}
