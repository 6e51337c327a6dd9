//! The last check of a finished module: the kernel's module loader and livepatch core must know everything in it,
//! and read it as the linker meant it.
//!
//! The check follows `kernel/module/main.c`, `kernel/livepatch/core.c` and each architecture's `kernel/module.c` of 6.1
//! to 7.3. Whatever is not on a list here is refused by name: the loader accepts most things that it does not know,
//! and ignores them or takes them for something else.

mod relocations;
mod sections;
mod symbols;

use klp_module::Signature;
use object::elf::{ET_REL, FileHeader64, SHN_UNDEF, SHT_SYMTAB, STT_SECTION, SectionFlags, SymbolSection};
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym, SymbolTable};
use object::{LittleEndian, SectionIndex};

use crate::error::{Error, Result};
use crate::kernel::Arch;
use crate::kernel::symbols::NAME_LENGTH;

const LE: LittleEndian = LittleEndian;

/// `SHN_LIVEPATCH`: a symbol that the livepatch core finds.
pub const SHN_LIVEPATCH: SymbolSection = SymbolSection(0xff20);
/// `SHF_RELA_LIVEPATCH`: relocations that the livepatch core applies.
pub const SHF_RELA_LIVEPATCH: SectionFlags = SectionFlags(0x0010_0000);
/// The prefix for names of symbols that the kernel must find though they are not exported.
pub const SYMBOL_PREFIX: &str = ".klp.sym.";
/// The prefix for names of sections of livepatch relocations.
pub const RELOCATION_PREFIX: &str = ".klp.rela.";

/// A section in the file of a module.
type Section = object::elf::SectionHeader64<LittleEndian>;
/// A symbol in the file of a module.
type Symbol = object::elf::Sym64<LittleEndian>;

/// A module as the loader sees it.
struct Module<'data> {
    data: &'data [u8],
    arch: &'static Arch,
    sections: SectionTable<'data, FileHeader64<LittleEndian>>,
    symbols: SymbolTable<'data, FileHeader64<LittleEndian>>,
    /// Whether its `.modinfo` says that it is a livepatch.
    is_livepatch: bool,
}

impl Module<'_> {
    fn name(&self, section: &Section) -> String {
        shown(self.sections.section_name(LE, section).unwrap_or(b"(a section without a name)"))
    }

    /// The name of a symbol, or of the section that it stands for.
    fn symbol_name(&self, symbol: &Symbol) -> String {
        if symbol.st_type() == STT_SECTION
            && let Ok(section) = self.sections.section(SectionIndex(symbol.st_shndx(LE).0.into()))
        {
            return self.name(section);
        }
        shown(self.symbols.symbol_name(LE, symbol).unwrap_or(b"(a symbol without a name)"))
    }

    /// Whether a symbol of this name comes from the kernel.
    fn imports(&self, name: &str) -> bool {
        let is_it = |symbol: &Symbol| symbol.st_shndx(LE) == SHN_UNDEF && self.symbol_name(symbol) == name;
        self.symbols.iter().any(is_it)
    }
}

/// A name as text: as much of it as the kernel would look at.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(NAME_LENGTH)]).into_owned()
}

/// Everything that is wrong with a finished module: reasons not to load it.
///
/// # Errors
///
/// The file is not a readable relocatable ELF object.
pub fn faults(data: &[u8]) -> Result<Vec<String>> {
    let elf = || Error::elf("read the module");
    let header = FileHeader64::<LittleEndian>::parse(data).map_err(elf())?;
    let Some(arch) = Arch::of_elf(data).filter(|_| header.e_type(LE) == ET_REL) else {
        return Ok(vec![format!("it is not a relocatable object for {}", Arch::names())]);
    };
    let sections = header.sections(LE, data).map_err(elf())?;
    let symbols = sections.symbols(LE, data, SHT_SYMTAB).map_err(elf())?;
    let is_livepatch = says_livepatch(data, &sections);
    let module = Module { data, arch, sections, symbols, is_livepatch };
    let mut faults = sections::faults(&module);
    faults.extend(symbols::faults(&module));
    faults.extend(relocations::faults(&module));
    // The kernel looks at it even where it does not ask for one.
    if let Err(why) = Signature::of(data) {
        faults.push(format!("the signature at its end can't be read: {why}"));
    }
    Ok(faults)
}

/// Whether a `.modinfo` marks the module as a livepatch.
fn says_livepatch(data: &[u8], sections: &SectionTable<'_, FileHeader64<LittleEndian>>) -> bool {
    let modinfo = sections.section_by_name(LE, b".modinfo");
    let text = modinfo.and_then(|(_, section)| section.data(LE, data).ok()).unwrap_or_default();
    let value = text.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"livepatch="));
    value.is_some_and(|value| matches!(value.first(), Some(b'Y' | b'y' | b'1')))
}

/// The object of a livepatch symbol: `.klp.sym.OBJECT.NAME,POS`.
fn object_of(symbol: &str) -> Option<&str> {
    let (object, name) = symbol.strip_prefix(SYMBOL_PREFIX)?.split_once('.')?;
    let (name, position) = name.rsplit_once(',')?;
    (!object.is_empty() && !name.is_empty() && position.parse::<u64>().is_ok()).then_some(object)
}

/// Whether a section has a place in memory.
fn is_alloc(section: &Section) -> bool {
    section.sh_flags(LE).contains(object::elf::SHF_ALLOC)
}

#[cfg(test)]
mod tests;
