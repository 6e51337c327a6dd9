//! The sections of an ELF file with debug information, as if they were linked.

use std::borrow::Cow;
use std::collections::HashMap;

use gimli::{Dwarf, DwarfSections, EndianSlice, LittleEndian, SectionId};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SectionKind, SymbolKind};

use super::dwarf::Slice;
use crate::host::sorted;
use crate::kernel::symbols::NAME_LENGTH;

/// The sections of debug information.
pub(super) struct Sections<'a>(DwarfSections<Cow<'a, [u8]>>);

impl<'a> Sections<'a> {
    pub(super) fn load(file: &object::File<'a>) -> object::Result<Self> {
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

/// One section; empty if the file lacks it.
fn section<'a>(file: &object::File<'a>, id: SectionId) -> object::Result<Cow<'a, [u8]>> {
    let Some(section) = file.section_by_name(id.name()) else { return Ok(Cow::default()) };
    let data = section.uncompressed_data()?;
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
