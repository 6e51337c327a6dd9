//! Reads the kernel's own table of symbols, the source of `/proc/kallsyms`, from an image.
//!
//! `scripts/kallsyms.c` writes it into the kernel's read-only data. Nothing in the image tells the place,
//! so it is found by its structure: names consist of 256 tokens, and the tokens for the digits are the digits
//! themselves, in a row.

use super::NAME_LENGTH;
use crate::error::{Error, Result};

/// A symbol of the table. The table is sorted by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its address in a kernel that is not relocated; an offset for a per-CPU variable.
    pub address: u64,
    /// The letter for its kind, as in `/proc/kallsyms` and nm.
    pub kind: char,
    /// Its name.
    pub name: String,
}

/// The tokens of the digits, as the token table contains them.
const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00";

/// How the parts of the table follow each other, and what the numbers of symbols mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Parts start at multiples of 8; a number is an offset from a base.
    Based,
    /// Parts start at multiples of 4; a number is the distance from its own place to the symbol. The first release with
    /// it lies between 6.13 and 7.2.
    Distances,
}

impl Form {
    /// The next offset at which a part may start.
    fn align(self, offset: usize) -> usize {
        offset.next_multiple_of(self.step())
    }

    /// What the offsets of parts are multiples of; the count of names takes as much.
    fn step(self) -> usize {
        match self {
            Self::Based => 8,
            Self::Distances => 4,
        }
    }
}

/// Reads the table from a part of an image that is mapped as a whole, at an address.
///
/// `kernel_start` is the lowest address that a kernel is linked to, `absolute_percpu` is
/// `CONFIG_KALLSYMS_ABSOLUTE_PERCPU`.
pub fn read(data: &[u8], address: u64, kernel_start: u64, absolute_percpu: bool) -> Result<Vec<Entry>> {
    let not_found = || Error::Request {
        message: "the kernel's table of symbols (kallsyms) was not found in its image".into(),
        help: "its layout is known up to Linux 7.3: report the kernel's release".into(),
    };
    let tokens = Tokens::find(data).ok_or_else(not_found)?;
    // Decided before the names are looked for: in the wrong form, that takes long.
    let probe = distances(data, &tokens, address, kernel_start, 1000);
    let form = if probe.is_some() { Form::Distances } else { Form::Based };
    let names = Names::find(data, &tokens, form).ok_or_else(not_found)?;
    let addresses = match form {
        Form::Based => offsets(data, &tokens, &names, kernel_start, absolute_percpu),
        Form::Distances => distances(data, &tokens, address, kernel_start, names.count),
    };
    let addresses = addresses.ok_or_else(not_found)?;
    let entries = names.all(&tokens).zip(addresses).map(|(name, address)| {
        let mut letters = name.chars();
        Entry { address, kind: letters.next().unwrap_or('?'), name: letters.collect() }
    });
    let entries: Vec<_> = entries.collect();
    if entries.len() == names.count { Ok(entries) } else { Err(not_found()) }
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

/// The expansion of the bytes of names.
struct Tokens<'a> {
    texts: Vec<&'a [u8]>,
    start: usize,
    /// The end of the index of the tokens.
    end: usize,
}

impl<'a> Tokens<'a> {
    fn find(data: &'a [u8]) -> Option<Self> {
        let starts = data.windows(DIGITS.len()).enumerate().filter(|(_, window)| *window == DIGITS);
        starts.map(|(at, _)| at).find_map(|at| Self::around(data, at))
    }

    /// The table whose token for the digit 0 is at this offset, if there is one.
    fn around(data: &'a [u8], zero: usize) -> Option<Self> {
        let mut at = zero;
        for _ in usize::from(b'0')..256 {
            at += data[at..].iter().position(|&byte| byte == 0)? + 1;
        }
        let forms = [Form::Based, Form::Distances];
        forms.into_iter().find_map(|form| Self::with_index(data, zero, form.align(at)))
    }

    /// The table with this token for the digit 0, and its index.
    fn with_index(data: &'a [u8], zero: usize, index: usize) -> Option<Self> {
        let end = index + 512;
        let offsets: Vec<usize> = data
            .get(index..end)?
            .chunks(2)
            .map(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])))
            .collect();
        let start = zero.checked_sub(offsets[usize::from(b'0')])?;
        let mut texts = Vec::with_capacity(256);
        for (number, &offset) in offsets.iter().enumerate() {
            let text = data.get(start + offset..index)?;
            let text = &text[..text.iter().position(|&byte| byte == 0)?];
            let next = offsets.get(number + 1);
            if next.is_some_and(|&next| next != offset + text.len() + 1) || (number == 0 && offset != 0) {
                return None;
            }
            texts.push(text);
        }
        Some(Self { texts, start, end })
    }
}

/// The compressed names.
struct Names<'a> {
    /// The names, each preceded by its length.
    data: &'a [u8],
    count: usize,
    /// The offset of the count, which precedes them.
    start: usize,
}

impl<'a> Names<'a> {
    /// Finds them: the count precedes the names, and the names precede the tokens.
    fn find(data: &'a [u8], tokens: &Tokens<'_>, form: Form) -> Option<Self> {
        let starts = (0..tokens.start / form.step()).rev().map(|word| word * form.step());
        starts.into_iter().find_map(|start| Self::at(data, start, tokens, form))
    }

    fn at(data: &'a [u8], start: usize, tokens: &Tokens<'_>, form: Form) -> Option<Self> {
        let count = usize::try_from(u32_at(data, start)?).ok()?;
        let names = data.get(start + form.step()..tokens.start)?;
        // A name takes at least two bytes.
        if !(1000..=names.len() / 2).contains(&count) {
            return None;
        }
        let is_plausible = match form {
            // Padding follows the fourth byte of the count.
            Form::Based => u32_at(data, start + 4)? == 0,
            // The marks, one for 256 names, end where the tokens start; the first one alone is 0.
            Form::Distances => u32_at(data, tokens.start.checked_sub(4 * count.div_ceil(256))?)? == 0,
        };
        if !is_plausible {
            return None;
        }
        let names = Self { data: names, count, start };
        let looks_right = |name: &String| {
            name.len() > 1 && name.starts_with(|kind: char| kind.is_ascii_alphabetic()) && name.is_ascii()
        };
        if !names.all(tokens).take(16).all(|name| looks_right(&name)) {
            return None;
        }
        // The offset of each 256th name follows the names.
        let (mut at, mut marks) = (0, Vec::new());
        for number in 0..count {
            if number % 256 == 0 {
                marks.push(at);
            }
            at = names.next(at)?.1;
        }
        let markers = form.align(start + form.step() + at);
        let is_marked = |(number, &mark): (usize, &usize)| {
            u32_at(data, markers + 4 * number).is_some_and(|found| found as usize == mark)
        };
        marks.iter().enumerate().all(is_marked).then_some(names)
    }

    /// The bytes of the name at an offset, and the offset of the next one.
    fn next(&self, at: usize) -> Option<(&'a [u8], usize)> {
        let first = usize::from(*self.data.get(at)?);
        // A length of more than 7 bits takes two bytes, since Linux 6.1.
        let (length, start) = match first & 0x80 {
            0 => (first, at + 1),
            _ => (first & 0x7f | usize::from(*self.data.get(at + 1)?) << 7, at + 2),
        };
        let end = start + length;
        Some((self.data.get(start..end)?, end))
    }

    /// All names, each with the letter of its kind in front, up to the first one that is longer than any can be.
    fn all(&self, tokens: &Tokens<'_>) -> impl Iterator<Item = String> {
        let mut at = 0;
        (0..self.count).map_while(move |_| {
            let (bytes, next) = self.next(at)?;
            at = next;
            let text = bytes.iter().flat_map(|&byte| tokens.texts[usize::from(byte)]).copied();
            let text: Vec<u8> = text.take(NAME_LENGTH).collect();
            (text.len() < NAME_LENGTH).then(|| String::from_utf8_lossy(&text).into_owned())
        })
    }
}

/// The addresses of [`Form::Distances`]: so many distances follow the tokens. `None` if these are none: the first symbols
/// of a kernel lie before the table.
fn distances(
    data: &[u8],
    tokens: &Tokens<'_>,
    address: u64,
    kernel_start: u64,
    count: usize,
) -> Option<Vec<u64>> {
    let start = Form::Distances.align(tokens.end);
    if u32_at(data, start)?.cast_signed() >= 0 {
        return None;
    }
    let target = |number| {
        let at = start + 4 * number;
        let distance = i64::from(u32_at(data, at)?.cast_signed());
        Some(address.wrapping_add(at as u64).wrapping_add_signed(distance))
    };
    let addresses: Vec<u64> = (0..count).map(target).collect::<Option<_>>()?;
    let is_kernel = addresses.first().is_some_and(|&first| first >= kernel_start);
    (is_kernel && addresses.is_sorted()).then_some(addresses)
}

/// The addresses of [`Form::Based`]: offsets, and the base that they are relative to. Up to Linux 6.3 they precede the
/// names; later they follow the tokens.
fn offsets(
    data: &[u8],
    tokens: &Tokens<'_>,
    names: &Names<'_>,
    kernel_start: u64,
    absolute_percpu: bool,
) -> Option<Vec<u64>> {
    let length = Form::Based.align(4 * names.count);
    let behind = Some(Form::Based.align(tokens.end));
    let before = names.start.checked_sub(8 + length);
    [behind, before].into_iter().flatten().find_map(|start| {
        let base = u64_at(data, start + length)?;
        if base < kernel_start {
            return None;
        }
        let address = |number| {
            let offset = u32_at(data, start + 4 * number)?;
            Some(match (absolute_percpu, offset.cast_signed()) {
                (false, _) => base.checked_add(offset.into())?,
                (true, signed @ 0..) => u64::from(signed.unsigned_abs()),
                (true, signed) => base.wrapping_add_signed(-1 - i64::from(signed)),
            })
        };
        let addresses: Vec<u64> = (0..names.count).map(address).collect::<Option<_>>()?;
        addresses.is_sorted().then_some(addresses)
    })
}

#[cfg(test)]
mod example;

#[cfg(test)]
mod tests {
    use super::example::{distances, table};
    use super::*;
    use crate::kernel::arch::{ARM64, X86_64};

    const KERNEL_START: u64 = X86_64.kernel_start;

    /// Where the data are mapped.
    const AT: u64 = 0xffff_ffff_8200_0000;

    fn symbols() -> Vec<(u32, String)> {
        let absolute = (0..10).map(|number| (number, format!("Apercpu_{number}")));
        let relative = (0..1990).map(|number: i32| {
            let long = if number % 7 == 0 { "x".repeat(200) } else { String::new() };
            ((-1 - 16 * number).cast_unsigned(), format!("tklp_function_{number}{long}"))
        });
        absolute.chain(relative).collect()
    }

    #[test]
    fn both_layouts_are_read() {
        const BASE: u64 = 0xffff_ffff_8100_0000;
        for offsets_first in [true, false] {
            let entries = read(&table(&symbols(), BASE, offsets_first), AT, KERNEL_START, true).unwrap();
            assert_eq!(entries.len(), 2000);
            assert_eq!(entries[3], Entry { address: 3, kind: 'A', name: "percpu_3".into() });
            assert_eq!(
                entries[1999],
                Entry { address: BASE + 16 * 1989, kind: 't', name: "klp_function_1989".into() }
            );
            assert_eq!(entries[10].name, format!("klp_function_0{}", "x".repeat(200)));
        }
    }

    #[test]
    fn distances_are_read() {
        // Their parts start at multiples of 4; 1300 and 1301 symbols put the tokens at others.
        for count in [1300, 1301] {
            let symbols: Vec<_> =
                (0..count).map(|number| (AT - 0x100_0000 + 16 * number, format!("Tklp_f{number}"))).collect();
            let entries = read(&distances(&symbols, AT), AT, KERNEL_START, false).unwrap();
            let last = Entry {
                address: AT - 0x100_0000 + 16 * (count - 1),
                kind: 'T',
                name: format!("klp_f{}", count - 1),
            };
            assert_eq!((entries.len() as u64, entries.last()), (count, Some(&last)));
            let elsewhere = AT - 0x1000;
            assert_ne!(
                read(&distances(&symbols, AT), elsewhere, KERNEL_START, false).unwrap()[0].address,
                symbols[0].0
            );
        }
    }

    /// arm64 links its kernels below the upper 2 GiB.
    #[test]
    fn a_kernel_begins_where_its_architecture_has_it() {
        const START: u64 = 0xffff_8000_8000_0000;
        let symbols: Vec<_> =
            (0..1300).map(|number| (START + 16 * number, format!("Tklp_f{number}"))).collect();
        let table = distances(&symbols, START + 0x100_0000);
        let read = |start| read(&table, START + 0x100_0000, start, false);
        assert_eq!(read(ARM64.kernel_start).unwrap()[1].address, START + 16);
        assert!(read(X86_64.kernel_start).is_err());
    }

    #[test]
    fn without_absolute_ones_offsets_have_no_sign() {
        let symbols: Vec<_> = (0..1000).map(|number| (number * 0x20_0000, format!("Tf{number}"))).collect();
        let entries = read(&table(&symbols, KERNEL_START, false), AT, KERNEL_START, false).unwrap();
        assert_eq!(entries[999].address, KERNEL_START + 999 * 0x20_0000);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(read(b"", AT, KERNEL_START, true).is_err());
        let mut damaged = table(&symbols(), KERNEL_START, false);
        damaged.truncate(damaged.len() - 1000);
        assert!(read(&damaged, AT, KERNEL_START, true).is_err());
    }

    #[test]
    fn addresses_and_names_that_no_kernel_has() {
        assert!(read(&table(&symbols(), u64::MAX, false), AT, KERNEL_START, false).is_err());
        let named = |length| vec![(0, format!("t{}", "x".repeat(length))); 1000];
        assert_eq!(
            read(&table(&named(510), KERNEL_START, false), AT, KERNEL_START, false).unwrap()[0].name.len(),
            510
        );
        assert!(read(&table(&named(511), KERNEL_START, false), AT, KERNEL_START, false).is_err());
    }
}
