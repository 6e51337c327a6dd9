//! The kernel's own table of symbols (`kernel/kallsyms.c`), in a dump of its memory.
//!
//! Each name is a length and that many tokens; the token table has their letters, of which the first one of a name is
//! the symbol's type. Addresses are 32 bits each, and how they are meant depends on the release:
//!
//! | until | an address is |
//! | --- | --- |
//! | 6.14 | that of `kallsyms_relative_base`, less the number and 1 where it is negative; a positive one is per-CPU |
//! | 6.14, without per-CPU symbols, and later | that of `kallsyms_relative_base`, and the number |
//! | now | that of the number itself, and the number |

use std::collections::HashMap;

use super::fault::{Fault, Result};
use super::memory::Memory;
use super::vmcoreinfo::Vmcoreinfo;

/// A symbol whose address the dump says elsewhere, too.
const KNOWN: &str = "init_top_pgt";

/// Finds symbols by their names, as far as the kernel has them. Of several with one name it is the first.
///
/// # Errors
///
/// The table is not in the dump, or is not what it should be.
pub fn find(
    memory: &Memory,
    info: &Vmcoreinfo,
    names: &[&'static str],
) -> Result<HashMap<&'static str, u64>> {
    let table = |name: &str| {
        info.symbol(name).ok_or_else(|| {
            Fault::new(
                "its VMCOREINFO does not say where the kernel's symbols are, which kernels since 6.0 do",
                "read it with `crash` or `drgn`, and the kernel's debug information",
            )
        })
    };
    let number = number(memory, table("kallsyms_num_syms")?)?;
    let offsets = table("kallsyms_offsets")?;
    let base = info.symbol("kallsyms_relative_base").map(|base| long(memory, base)).transpose()?;
    let tokens = Tokens::read(memory, table("kallsyms_token_table")?, table("kallsyms_token_index")?)?;
    let mut text = Text { memory, address: table("kallsyms_names")?, rest: Vec::new(), at: 0 };
    let mut found = HashMap::new();
    let mut name: Vec<u8> = Vec::new();
    for index in 0..u64::from(number) {
        name.clear();
        for _ in 0..text.length()? {
            name.extend(tokens.of(text.byte()?));
        }
        let name = name.get(1..).unwrap_or_default();
        let Some(wanted) = names.iter().chain([&KNOWN]).find(|wanted| wanted.as_bytes() == name) else {
            continue;
        };
        let place = offsets.wrapping_add(index * 4);
        let offset = i64::from(self::number(memory, place)?.cast_signed());
        let address = match base {
            Some(base) if offset < 0 => base.wrapping_sub(1).wrapping_add_signed(-offset),
            Some(base) => base.wrapping_add_signed(offset),
            None => place.wrapping_add_signed(offset),
        };
        found.entry(*wanted).or_insert(address);
    }
    if found.get(KNOWN).copied() != info.symbol("swapper_pg_dir") {
        return Err(Fault::broken("the kernel's table of symbols does not fit its VMCOREINFO"));
    }
    Ok(found)
}

/// What each token stands for.
struct Tokens {
    table: Vec<u8>,
    index: Vec<usize>,
}

impl Tokens {
    fn read(memory: &Memory, table: u64, index: u64) -> Result<Self> {
        let index = memory.read(index, 512)?;
        let index: Vec<_> =
            index.chunks(2).map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))).collect();
        // The last token is no longer than a page.
        let size = index.last().copied().unwrap_or_default();
        let mut bytes = memory.read(table, size)?;
        bytes.extend(memory.text(table.wrapping_add(size as u64))?.bytes().chain([0]));
        Ok(Self { table: bytes, index })
    }

    fn of(&self, token: u8) -> &[u8] {
        let rest = self.table.get(self.index[usize::from(token)]..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// The names, a page at a time.
struct Text<'a> {
    memory: &'a Memory,
    address: u64,
    rest: Vec<u8>,
    at: usize,
}

impl Text<'_> {
    fn byte(&mut self) -> Result<u8> {
        if self.at == self.rest.len() {
            self.address = self.address.wrapping_add(self.rest.len() as u64);
            self.rest = self.memory.rest_of_page(self.address)?;
            self.at = 0;
        }
        self.at += 1;
        Ok(self.rest[self.at - 1])
    }

    /// Of one byte, or of two for names that are long.
    fn length(&mut self) -> Result<usize> {
        let low = usize::from(self.byte()?);
        if low < 0x80 { Ok(low) } else { Ok(low & 0x7f | usize::from(self.byte()?) << 7) }
    }
}

fn number(memory: &Memory, address: u64) -> Result<u32> {
    Ok(u32::from_le_bytes(memory.read(address, 4)?.try_into().expect("these are four bytes")))
}

fn long(memory: &Memory, address: u64) -> Result<u64> {
    Ok(u64::from_le_bytes(memory.read(address, 8)?.try_into().expect("these are eight bytes")))
}
