//! Layouts from a module's own debug information.

use std::borrow::Cow;

use gimli::{Dwarf, EndianSlice, Reader, RelocateReader, RunTimeEndian, SectionId};
use object::read::RelocationMap;
use object::{Object, ObjectSection};

use super::{STRUCTS, Struct, Structs};
use crate::kernel::debug_info::contents;

/// The livepatch structures in a module; `None` if it has no readable debug information.
pub fn structs(file: &object::File<'_>) -> Option<Structs> {
    let endian = if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let sections = gimli::DwarfSections::load(|id| Ok::<_, object::Error>(Section::load(file, id))).ok()?;
    let dwarf = sections.borrow(|section| {
        RelocateReader::new(EndianSlice::new(&section.data, endian), Relocations(&section.relocations))
    });
    read(&dwarf).ok()
}

/// A section, and the targets of its offsets into other sections: in a module, relocations apply to them too.
#[derive(Default)]
struct Section<'a> {
    data: Cow<'a, [u8]>,
    relocations: RelocationMap,
}

impl<'a> Section<'a> {
    fn load(file: &object::File<'a>, id: SectionId) -> Self {
        let section = file.section_by_name(id.name());
        let loaded = section.and_then(|section| {
            Some(Self { data: contents(&section).ok()?, relocations: section.relocation_map().ok()? })
        });
        loaded.unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
struct Relocations<'a>(&'a RelocationMap);

impl gimli::read::Relocate for Relocations<'_> {
    fn relocate_address(&self, offset: usize, value: u64) -> gimli::Result<u64> {
        Ok(self.0.relocate(offset as u64, value))
    }

    fn relocate_offset(&self, offset: usize, value: usize) -> gimli::Result<usize> {
        gimli::ReaderOffset::from_u64(self.0.relocate(offset as u64, value as u64))
    }
}

fn read<R: Reader>(dwarf: &Dwarf<R>) -> gimli::Result<Structs> {
    let mut structs = Structs::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let mut entries = unit.entries();
        // The structure whose fields are being read, and its depth.
        let mut current: Option<(String, isize)> = None;
        while let Some(entry) = entries.next_dfs()? {
            let name = match entry.attr_value(gimli::DW_AT_name) {
                Some(value) => dwarf.attr_string(&unit, value)?.to_string()?.into_owned(),
                None => String::new(),
            };
            let number = |attribute| entry.attr(attribute).and_then(|value| value.udata_value());
            if current.as_ref().is_some_and(|(_, depth)| entry.depth() <= *depth) {
                current = None;
            }
            match (&current, entry.tag()) {
                (None, gimli::DW_TAG_structure_type) if STRUCTS.contains(&name.as_str()) => {
                    // A mere declaration has no size.
                    if let Some(size) = number(gimli::DW_AT_byte_size) {
                        structs.insert(name.clone(), Struct { size, ..Struct::default() });
                        current = Some((name, entry.depth()));
                    }
                }
                (Some((structure, depth)), gimli::DW_TAG_member) if entry.depth() == depth + 1 => {
                    let offset = number(gimli::DW_AT_data_member_location).unwrap_or(0);
                    let structure = structs.get_mut(structure).expect("inserted when it was entered");
                    structure.fields.insert(name, offset);
                }
                _ => {}
            }
        }
    }
    Ok(structs)
}
