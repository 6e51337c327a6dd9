//! The sections of an ELF file with debug information, as if they were linked.

use std::borrow::Cow;
use std::collections::HashMap;

use gimli::{Dwarf, DwarfSections, EndianSlice, LittleEndian, SectionId};
use object::{
    CompressionFormat, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SectionKind,
    SymbolKind,
};

use super::dwarf::Slice;
use crate::host::sorted;
use crate::kernel::symbols::NAME_LENGTH;

/// What is wrong with a section.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The sections of debug information.
pub(super) struct Sections<'a>(DwarfSections<Cow<'a, [u8]>>);

impl<'a> Sections<'a> {
    pub(super) fn load(file: &object::File<'a>) -> Result<Self> {
        DwarfSections::load(|id| section(file, id)).map(Self)
    }

    pub(super) fn dwarf(&self) -> Dwarf<Slice<'_>> {
        self.0.borrow(|section| EndianSlice::new(section, LittleEndian))
    }
}

/// The address of a place in a section. In a module all sections begin at 0 and would overlap.
pub(super) fn address(file: &object::File<'_>, section: SectionIndex, offset: u64) -> u64 {
    match file.kind() {
        object::ObjectKind::Relocatable => ((section.0 as u64 + 1) << OFFSET_BITS).wrapping_add(offset),
        _ => offset,
    }
}

/// The offset in the section for an address from [`address`].
pub(super) fn offset(file: &object::File<'_>, address: u64) -> u64 {
    match file.kind() {
        object::ObjectKind::Relocatable => address & ((1 << OFFSET_BITS) - 1),
        _ => address,
    }
}

/// An upper limit for the size of a module's section.
const OFFSET_BITS: u32 = 40;

/// The contents of a section, unpacked if it is compressed. Its header gives the size, for which memory is taken at
/// once: it must be one that the compressed data can have.
pub(crate) fn contents<'a>(section: &impl ObjectSection<'a>) -> Result<Cow<'a, [u8]>> {
    /// zlib packs 1032 bytes into one at most; zstd packs more only if they are all the same.
    const RATIO: u64 = 1032;
    let packed = section.compressed_data()?;
    let is_compressed = packed.format != CompressionFormat::None;
    if is_compressed && packed.uncompressed_size / RATIO > packed.data.len() as u64 {
        let (from, to) = (packed.data.len(), packed.uncompressed_size);
        return Err(format!("{}: {from} bytes can't be {to} bytes unpacked", section.name()?).into());
    }
    Ok(packed.decompress()?)
}

/// One section; empty if the file lacks it.
fn section<'a>(file: &object::File<'a>, id: SectionId) -> Result<Cow<'a, [u8]>> {
    let Some(section) = file.section_by_name(id.name()) else { return Ok(Cow::default()) };
    let data = contents(&section)?;
    if file.kind() != object::ObjectKind::Relocatable {
        return Ok(data);
    }
    let mut data = data.into_owned();
    for (at, relocation) in section.relocations() {
        let RelocationTarget::Symbol(index) = relocation.target() else { continue };
        let symbol = file.symbol_by_index(index)?;
        let base = match symbol.section_index() {
            Some(index) if file.section_by_index(index)?.kind() == SectionKind::Text => {
                address(file, index, symbol.address())
            }
            _ => symbol.address(),
        };
        let value = base.wrapping_add_signed(relocation.addend()).to_le_bytes();
        let place = usize::try_from(at).ok().and_then(|at| data.get_mut(at..));
        let length = usize::from(relocation.size() / 8);
        if let Some((place, value)) = place.and_then(|place| place.get_mut(..length)).zip(value.get(..length))
        {
            place.copy_from_slice(value);
        }
    }
    Ok(data.into())
}

/// The names of the code at each address.
pub(super) fn code<'a>(file: &object::File<'a>) -> HashMap<u64, Vec<&'a str>> {
    let mut names = HashMap::<_, Vec<_>>::new();
    for symbol in file.symbols() {
        if let (Some(section), SymbolKind::Text, Ok(name)) =
            (symbol.section_index(), symbol.kind(), symbol.name())
            && name.len() < NAME_LENGTH
            && sorted::is_word(name)
        {
            names.entry(address(file, section, symbol.address())).or_default().push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use object::{elf, write};

    use super::*;

    /// Found by fuzzing: a module of 9 KB that took all memory.
    #[test]
    fn a_section_may_not_give_any_size() {
        let contents_of = |size: u64| {
            let (format, architecture) = (object::BinaryFormat::Elf, object::Architecture::X86_64);
            let mut file = write::Object::new(format, architecture, object::Endianness::Little);
            let id = file.add_section(Vec::new(), b".debug_info".to_vec(), SectionKind::Debug);
            // `struct Elf64_Chdr` for zlib, and a stream of one byte, stored as it is.
            let header = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &size.to_le_bytes(), &1u64.to_le_bytes()].concat();
            let stream = [0x78, 1, 1, 1, 0, 0xfe, 0xff, b'x', 0, 0x79, 0, 0x79];
            file.append_section_data(id, &[&header[..], &stream].concat(), 1);
            file.section_mut(id).flags =
                object::SectionFlags::Elf { sh_type: elf::SHT_PROGBITS, sh_flags: elf::SHF_COMPRESSED };
            let data = file.write().unwrap();
            let file = object::File::parse(&*data).unwrap();
            let section = file.section_by_name(".debug_info").unwrap();
            contents(&section).map(Cow::into_owned).map_err(|error| error.to_string())
        };
        assert_eq!(contents_of(1), Ok(b"x".to_vec()));
        let error = contents_of(1 << 40).unwrap_err();
        assert_eq!(error, ".debug_info: 12 bytes can't be 1099511627776 bytes unpacked");
    }
}
