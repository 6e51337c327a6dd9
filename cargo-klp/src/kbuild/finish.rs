//! Makes livepatch symbols and relocations of a module that Kbuild has linked.
//!
//! Linkers keep neither, so it is the last step, after BTF and before any signature. Kbuild runs `cargo klp finish`
//! as part of its own last step: `klp_final.mk`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use object::build::Id;
use object::build::elf::{Builder, Relocation, SectionData, SectionId, SymbolId};
use object::elf::{
    FileHeader64, SHF_ALLOC, SHN_ABS, SHN_UNDEF, SHT_RELA, SHT_SYMTAB, STB_GLOBAL, STT_NOTYPE, SectionFlags,
    SymbolSection,
};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{LittleEndian, SymbolIndex};

use crate::error::{Error, Result};
use crate::patch::inspect::symbols::PREFIX;

/// The symbol by whose value the glue knows that all symbols were marked: how many.
const MARK: &str = "klp_glue_symbols";

/// `SHN_LIVEPATCH`: a symbol that the livepatch core finds.
const SHN_LIVEPATCH: SymbolSection = SymbolSection(0xff20);
/// `SHF_RELA_LIVEPATCH`: relocations that the livepatch core applies.
const SHF_RELA_LIVEPATCH: SectionFlags = SectionFlags(0x0010_0000);

/// Finishes a module in place.
pub fn finish_file(ko: &Path) -> Result<()> {
    let data = fs::read(ko).map_err(Error::io("read", ko))?;
    let finished = finish(&data)?;
    check(ko, &finished)?;
    // Whole or not at all: a file that is half of each must not be there.
    let partial = ko.with_extension("ko.tmp");
    fs::write(&partial, finished).map_err(Error::io("write", &partial))?;
    fs::rename(&partial, ko).map_err(Error::io("write", ko))
}

/// The module with its livepatch symbols and relocations.
fn finish(data: &[u8]) -> Result<Vec<u8>> {
    let elf = || Error::elf_build("finish the module");
    let mut builder = Builder::read(data).map_err(elf())?;
    let objects = mark_symbols(&mut builder);
    move_relocations(&mut builder, &objects)?;
    let mut finished = Vec::new();
    builder.write(&mut finished).map_err(elf())?;
    Ok(finished)
}

/// Marks the symbols, and returns the object of each.
fn mark_symbols(builder: &mut Builder<'_>) -> BTreeMap<usize, String> {
    let mut objects = BTreeMap::new();
    for symbol in &mut builder.symbols {
        if symbol.st_shndx != SHN_UNDEF || symbol.section.is_some() {
            continue;
        }
        let name = String::from_utf8_lossy(&symbol.name).into_owned();
        if let Some(rest) = name.strip_prefix(PREFIX) {
            symbol.st_shndx = SHN_LIVEPATCH;
            symbol.set_st_info(STB_GLOBAL, symbol.st_type());
            let object = rest.split('.').next().unwrap_or_default();
            objects.insert(symbol.id().index(), object.to_owned());
        }
    }
    for symbol in &mut builder.symbols {
        if &*symbol.name == MARK.as_bytes() {
            symbol.st_shndx = SHN_ABS;
            symbol.st_value = objects.len() as u64;
            symbol.set_st_info(STB_GLOBAL, STT_NOTYPE);
        }
    }
    objects
}

/// A section of relocations that is to be: the object, the section that it is for, its relocations.
type New = BTreeMap<(String, usize), (SectionId, Vec<Relocation>)>;

/// Moves the relocations against the symbols to sections of their own.
fn move_relocations(builder: &mut Builder<'_>, objects: &BTreeMap<usize, String>) -> Result<()> {
    let object_of = |symbol: Option<SymbolId>| objects.get(&symbol?.index());
    let ids: Vec<SectionId> = builder.sections.iter().map(|section| section.id()).collect();
    let mut new = New::new();
    let mut symbol_table = None;
    for section in &mut builder.sections {
        // Section numbers start at 1, ids at 0.
        let Some(target) = (section.sh_info as usize).checked_sub(1).and_then(|index| ids.get(index)) else {
            continue;
        };
        let SectionData::Relocation(relocations) = &mut section.data else { continue };
        symbol_table = section.sh_link_section;
        relocations.retain(|relocation| {
            let Some(object) = object_of(relocation.symbol) else { return true };
            let key = (object.clone(), target.index());
            new.entry(key).or_insert_with(|| (*target, Vec::new())).1.push(*relocation);
            false
        });
    }
    for ((object, _), (target, relocations)) in new {
        let target = builder.sections.get(target);
        let target_name = String::from_utf8_lossy(&target.name).into_owned();
        // Of vmlinux they are applied as the module is loaded, else at any time.
        if !target.is_alloc()
            || (object != crate::kernel::symbols::VMLINUX && target_name.starts_with(".init"))
        {
            return Err(Error::Request {
                message: format!(
                    "a symbol of {object} is used in the section {target_name}, which is not there for good"
                ),
                help: "use it in functions only".into(),
            });
        }
        let target = target.id();
        let section = builder.sections.add();
        section.name = format!("{PREFIX_OF_SECTIONS}{object}.{target_name}").into_bytes().into();
        section.sh_type = SHT_RELA;
        section.sh_flags = SectionFlags(SHF_ALLOC.0 | SHF_RELA_LIVEPATCH.0);
        section.sh_link_section = symbol_table;
        section.sh_info_section = Some(target);
        section.sh_addralign = 8;
        section.sh_entsize = 24;
        section.data = SectionData::Relocation(relocations);
    }
    Ok(())
}

/// How the names of sections of livepatch relocations start.
const PREFIX_OF_SECTIONS: &str = ".klp.rela.";

/// Looks at a finished module: the kernel will resolve all of its symbols.
pub fn check(ko: &Path, data: &[u8]) -> Result<()> {
    let faults = faults(data).map_err(Error::elf("read the finished module"))?;
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Unloadable { path: ko.into(), faults })
}

fn faults(data: &[u8]) -> object::Result<Vec<String>> {
    const LE: LittleEndian = LittleEndian;
    let sections = FileHeader64::<LittleEndian>::parse(data)?.sections(LE, data)?;
    let symbols = sections.symbols(LE, data, SHT_SYMTAB)?;
    let mut faults = Vec::new();
    for symbol in symbols.iter() {
        let name = symbols.symbol_name(LE, symbol)?;
        if name.starts_with(PREFIX.as_bytes()) && symbol.st_shndx(LE) != SHN_LIVEPATCH {
            let name = String::from_utf8_lossy(name);
            faults.push(format!("{name} is not marked as a livepatch symbol: the kernel would not find it"));
        }
    }
    for section in sections.iter() {
        let Some((relocations, _)) = section.rela(LE, data)? else { continue };
        let is_livepatch = section.sh_flags(LE).contains(SHF_RELA_LIVEPATCH);
        for relocation in relocations {
            let symbol = symbols.symbol(SymbolIndex(relocation.r_sym(LE, false) as usize))?;
            if (symbol.st_shndx(LE) == SHN_LIVEPATCH) != is_livepatch {
                let name = String::from_utf8_lossy(sections.section_name(LE, section)?).into_owned();
                let symbol = String::from_utf8_lossy(symbols.symbol_name(LE, symbol)?).into_owned();
                faults.push(format!("{name} has a relocation against {symbol} that belongs elsewhere"));
            }
        }
    }
    Ok(faults)
}

#[cfg(test)]
pub(super) mod tests {
    use object::elf::{R_X86_64_32S, R_X86_64_PLT32};
    use object::write::{
        Object as Written, Relocation as WrittenRelocation, Symbol as WrittenSymbol, SymbolId as Id,
    };
    use object::{
        Architecture, BinaryFormat, Endianness, Object as _, ObjectSection as _, ObjectSymbol as _,
        RelocationFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    };

    use super::*;

    /// A module whose code calls `called`, each of them once, and whose init data points to `in_init`.
    pub(in crate::kbuild) fn module(called: &[&str], in_init: &[&str]) -> Vec<u8> {
        let mut file = Written::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let text = file.add_section(Vec::new(), b".text".to_vec(), SectionKind::Text);
        let init = file.add_section(Vec::new(), b".init.data".to_vec(), SectionKind::Data);
        let undefined = |file: &mut Written<'_>, name: &str| -> Id {
            file.add_symbol(WrittenSymbol {
                name: name.into(),
                value: 0,
                size: 0,
                kind: SymbolKind::Unknown,
                scope: SymbolScope::Unknown,
                weak: true,
                section: object::write::SymbolSection::Undefined,
                flags: SymbolFlags::None,
            })
        };
        undefined(&mut file, MARK);
        let relocate = |file: &mut Written<'_>, section, offset, symbol, r_type, addend| {
            let flags = RelocationFlags::Elf { r_type };
            file.add_relocation(section, WrittenRelocation { offset, symbol, addend, flags }).unwrap();
        };
        for name in called {
            let symbol = undefined(&mut file, name);
            let at = file.append_section_data(text, &[0xe8, 0, 0, 0, 0], 1);
            relocate(&mut file, text, at + 1, symbol, R_X86_64_PLT32, -4);
        }
        for name in in_init {
            let symbol = undefined(&mut file, name);
            let at = file.append_section_data(init, &[0; 4], 4);
            relocate(&mut file, init, at, symbol, R_X86_64_32S, 0);
        }
        file.write().unwrap()
    }

    /// The sections of livepatch relocations: name, target section, number.
    fn livepatch_sections(data: &[u8]) -> Vec<(String, String, u64)> {
        let sections =
            FileHeader64::<LittleEndian>::parse(data).unwrap().sections(LittleEndian, data).unwrap();
        let name = |section| {
            String::from_utf8_lossy(sections.section_name(LittleEndian, section).unwrap()).into_owned()
        };
        let ours =
            sections.iter().filter(|section| section.sh_flags(LittleEndian).contains(SHF_RELA_LIVEPATCH));
        ours.map(|section| {
            assert!(section.sh_flags(LittleEndian).contains(SHF_ALLOC));
            let target =
                sections.section(object::SectionIndex(section.sh_info(LittleEndian) as usize)).unwrap();
            (name(section), name(target), section.sh_size(LittleEndian) / 24)
        })
        .collect()
    }

    #[test]
    fn relocations_go_to_a_section_for_each_object() {
        let data = module(
            &[".klp.sym.vmlinux.f,0", "printk", ".klp.sym.nf_tables.g.isra.0,2", ".klp.sym.vmlinux.h,0"],
            &[".klp.sym.vmlinux.i,0"],
        );
        assert_eq!(faults(&data).unwrap().len(), 4, "each symbol is without its mark");
        let finished = finish(&data).unwrap();
        assert_eq!(faults(&finished).unwrap(), Vec::<String>::new());
        let section =
            |name: &str, target: &str, count| (format!(".klp.rela.{name}"), target.to_owned(), count);
        assert_eq!(
            livepatch_sections(&finished),
            [
                section("nf_tables..text", ".text", 1),
                section("vmlinux..text", ".text", 2),
                section("vmlinux..init.data", ".init.data", 1)
            ]
        );
        let file = object::File::parse(&*finished).unwrap();
        let mark = file.symbol_by_name(MARK).unwrap();
        assert_eq!((mark.address(), mark.is_undefined()), (4, false));
        let left = file.section_by_name(".text").unwrap();
        assert!(left.data().unwrap().starts_with(&[0xe8, 0, 0, 0, 0]));
    }

    #[test]
    fn what_a_module_has_is_not_for_init_data() {
        let error = finish(&module(&[], &[".klp.sym.nf_tables.f,0"])).unwrap_err().to_string();
        assert!(error.contains("nf_tables is used in the section .init.data"), "{error}");
    }

    #[test]
    fn relocations_that_were_left_are_seen() {
        let finished = finish(&module(&[".klp.sym.vmlinux.f,0"], &[])).unwrap();
        let flags = u64::from(SHF_ALLOC.0 as u32) | u64::from(SHF_RELA_LIVEPATCH.0 as u32);
        // The section's flags, without the mark.
        let at = finished.windows(8).rposition(|bytes| bytes == flags.to_le_bytes()).unwrap();
        let mut lost = finished.clone();
        lost[at..at + 8].copy_from_slice(&2u64.to_le_bytes());
        assert_eq!(faults(&lost).unwrap().len(), 1);
    }
}
