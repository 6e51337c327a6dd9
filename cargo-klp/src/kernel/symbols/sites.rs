//! The places where ftrace can redirect functions: the kernel's build lists them.

use std::collections::HashSet;

use object::elf::FileHeader64;
use object::read::elf::{FileHeader, Rela, SectionHeader, Sym};
use object::{LittleEndian, SymbolIndex};

use super::{Kind, Object, Symbol};
use crate::error::{Error, Result};
use crate::kernel::Arch;

/// The places of an object.
#[derive(Debug)]
pub struct Sites {
    /// By section and address as in [`Symbol`].
    places: HashSet<(Option<usize>, u64)>,
    arch: &'static Arch,
}

impl Sites {
    /// Whether a function can be redirected.
    #[must_use]
    pub fn has(&self, function: &Symbol) -> bool {
        let distances = self.arch.ftrace.places.iter();
        let mut places = distances.map(|distance| function.address.wrapping_add_signed(*distance));
        places.any(|place| self.places.contains(&(function.section, place)))
    }
}

impl Object<'_> {
    /// The places of the object; `None` if its file does not list them.
    pub fn sites(&self) -> Result<Option<Sites>> {
        match &self.kind {
            Kind::Vmlinux(_) => {
                let Some(table) = self.between("__start_mcount_loc", "__stop_mcount_loc")? else {
                    return Ok(None);
                };
                let address = |entry: &[u8; 8]| (None, u64::from_le_bytes(*entry));
                let places = table.as_chunks().0.iter().map(address).collect();
                Ok(Some(Sites { places, arch: self.arch() }))
            }
            Kind::Module(module) => {
                let places = of_module(module.data(), self.arch());
                places.map_err(Error::elf("read a module's places for ftrace"))
            }
        }
    }

    /// The object's own BTF; `None` if it has none.
    pub(crate) fn btf(&self) -> Result<Option<Vec<u8>>> {
        match &self.kind {
            Kind::Vmlinux(_) => self.between("__start_BTF", "__stop_BTF"),
            Kind::Module(module) => module.btf(),
        }
    }

    /// The bytes between two symbols of vmlinux; `None` if one of them does not exist.
    fn between(&self, start: &str, end: &str) -> Result<Option<Vec<u8>>> {
        let (starts, ends) = (self.named(start), self.named(end));
        let ([start], [end]) = (&*starts, &*ends) else { return Ok(None) };
        let length = usize::try_from(end.address.saturating_sub(start.address)).unwrap_or(0);
        self.layout().bytes(start, length).map(Some)
    }
}

const LE: LittleEndian = LittleEndian;

/// By the relocations of the list.
fn of_module(data: &[u8], arch: &'static Arch) -> object::Result<Option<Sites>> {
    let sections = FileHeader64::<LittleEndian>::parse(data)?.sections(LE, data)?;
    let list = sections.section_by_name(LE, arch.ftrace.list.as_bytes());
    let Some((list, _)) = list else { return Ok(None) };
    let table = sections.symbols(LE, data, object::elf::SHT_SYMTAB)?;
    let pointer = arch.relocations.pointer;
    let mut places = HashSet::new();
    for section in sections.iter().filter(|section| section.sh_info(LE) as usize == list.0) {
        let Some((relocations, _)) = section.rela(LE, data)? else { continue };
        for relocation in relocations.iter().filter(|entry| entry.r_type(LE, false) == pointer) {
            let symbol = table.symbol(SymbolIndex(relocation.r_sym(LE, false) as usize))?;
            let address = symbol.st_value(LE).wrapping_add_signed(relocation.r_addend(LE));
            places.insert((Some(usize::from(symbol.st_shndx(LE).0)), address));
        }
    }
    Ok(Some(Sites { places, arch }))
}
