//! A module's sections as the kernel would see them in memory, with pointers that can be followed.
//!
//! In the file a pointer is zero, and a relocation has its target.

use std::collections::HashMap;

use object::{
    Endian, Object, ObjectSection, ObjectSymbol, RelocationKind, RelocationTarget, SectionIndex, SectionKind,
    SymbolKind,
};

use crate::error::{Error, Result};
use crate::kernel::symbols::NAME_LENGTH;

/// A place in a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The section.
    pub section: SectionIndex,
    /// The offset in it, in bytes.
    pub offset: u64,
}

impl Place {
    /// The place this number of bytes further on.
    pub fn plus(self, bytes: u64) -> Self {
        Self { offset: self.offset.wrapping_add(bytes), ..self }
    }
}

/// The target of a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer<'a> {
    /// Into the module.
    Here(Place),
    /// To a symbol that the module does not define.
    Needed(&'a str),
}

/// The data of a module, the pointers in them, and the names of its functions.
#[derive(Debug)]
pub struct Image<'a> {
    file: &'a object::File<'a>,
    pointers: HashMap<Place, Pointer<'a>>,
    functions: HashMap<Place, &'a str>,
}

impl<'a> Image<'a> {
    /// Reads a relocatable file.
    pub fn new(file: &'a object::File<'a>) -> Self {
        let mut pointers = HashMap::new();
        // Skips code, and sections that are not loaded.
        let is_data = |kind| !matches!(kind, SectionKind::Text | SectionKind::Debug | SectionKind::Other);
        for section in file.sections().filter(|section| is_data(section.kind())) {
            for (offset, relocation) in section.relocations() {
                let is_pointer = relocation.kind() == RelocationKind::Absolute && relocation.size() == 64;
                let RelocationTarget::Symbol(target) = relocation.target() else { continue };
                let Ok(symbol) = file.symbol_by_index(target) else { continue };
                let pointer = match symbol.section_index() {
                    Some(section) => {
                        let start = Place { section, offset: symbol.address() };
                        Pointer::Here(start.plus(relocation.addend().cast_unsigned()))
                    }
                    None => Pointer::Needed(symbol.name().unwrap_or_default()),
                };
                if is_pointer {
                    pointers.insert(Place { section: section.index(), offset }, pointer);
                }
            }
        }
        let functions = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text)
            .filter_map(|symbol| {
                let place = Place { section: symbol.section_index()?, offset: symbol.address() };
                Some((place, symbol.name().ok()?))
            })
            .collect();
        Self { file, pointers, functions }
    }

    /// The place of a symbol of the module.
    pub fn symbol(&self, name: &str) -> Option<Place> {
        let symbol = self.file.symbol_by_name(name)?;
        Some(Place { section: symbol.section_index()?, offset: symbol.address() })
    }

    /// All pointers to a place.
    pub fn pointers_to(&self, target: Place) -> impl Iterator<Item = Place> {
        let to_target = move |pointer: &Pointer<'_>| *pointer == Pointer::Here(target);
        self.pointers.iter().filter(move |(_, pointer)| to_target(pointer)).map(|(place, _)| *place)
    }

    /// The pointer at a place; `None` if it is null.
    pub fn pointer(&self, place: Place) -> Option<Pointer<'a>> {
        self.pointers.get(&place).copied()
    }

    /// The place in the module that the pointer at a place points to.
    pub fn follow(&self, place: Place) -> Option<Place> {
        match self.pointer(place)? {
            Pointer::Here(target) => Some(target),
            Pointer::Needed(_) => None,
        }
    }

    /// How many pointers there are.
    pub fn pointer_count(&self) -> usize {
        self.pointers.len()
    }

    /// The string that the pointer at a place points to, if it can be a name in the kernel.
    pub fn string(&self, place: Place) -> Option<String> {
        let target = self.follow(place)?;
        let data = self.file.section_by_index(target.section).ok()?.data().ok()?;
        let text = data.get(usize::try_from(target.offset).ok()?..)?;
        let end = text.iter().take(NAME_LENGTH).position(|&byte| byte == 0)?;
        Some(std::str::from_utf8(&text[..end]).ok()?.to_owned())
    }

    /// The demangled name of the function that the pointer at a place points to; `None` if it has no symbol.
    pub fn function(&self, place: Place) -> Option<String> {
        let name = match self.pointer(place)? {
            Pointer::Here(target) => self.functions.get(&target)?,
            Pointer::Needed(name) => name,
        };
        Some(name_in_source(name))
    }

    /// The number of `N` bytes at a place.
    pub fn bytes<const N: usize>(&self, place: Place) -> Result<[u8; N]> {
        let outside = || Error::Request {
            message: "a table of the livepatch ends before its last entry".into(),
            help: "the file is damaged, or was not made for a 64-bit kernel: build it again".into(),
        };
        let section = self.file.section_by_index(place.section).map_err(Error::elf("read a table"))?;
        let ends = place.offset.checked_add(N as u64);
        // A table with nothing in it but the entry that ends it takes no room in the file.
        if section.kind() == SectionKind::UninitializedData && ends.is_some_and(|end| end <= section.size()) {
            return Ok([0; N]);
        }
        let data = section.data().map_err(Error::elf("read a table"))?;
        let start = usize::try_from(place.offset).map_err(|_| outside())?;
        let bytes = data.get(start..).and_then(|rest| rest.first_chunk::<N>());
        bytes.copied().ok_or_else(outside)
    }

    /// The `unsigned long` at a place.
    pub fn long(&self, place: Place) -> Result<u64> {
        Ok(self.file.endianness().read_u64(self.bytes(place)?))
    }

    /// The `unsigned int` at a place.
    pub fn int(&self, place: Place) -> Result<u32> {
        Ok(self.file.endianness().read_u32(self.bytes(place)?))
    }
}

/// The name of a function as in the source: demangled, without the hash of its crate.
pub(crate) fn name_in_source(symbol: &str) -> String {
    written(&format!("{:#}", rustc_demangle::demangle(symbol)))
}

/// The function that the author wrote, if `#[klp_func]` has put a wrapper before it.
fn written(name: &str) -> String {
    match name.split_once("::_::").and_then(|(path, rest)| Some((path, rest.rsplit_once("__klp_")?.1))) {
        Some((path, function)) => format!("{path}::{function}"),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_as_they_were_written() {
        assert_eq!(written("a::b::_::__KLP_ENTRY::__klp_show"), "a::b::show");
        assert_eq!(written("a::b::show"), "a::b::show");
        assert_eq!(written("a::_::show"), "a::_::show");
    }
}
