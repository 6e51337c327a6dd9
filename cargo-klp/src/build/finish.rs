//! `cargo klp finish`: makes livepatch symbols and relocations of a module that Kbuild has linked.
//!
//! Linkers keep neither, so it is the last step, after BTF and before any signature. Kbuild runs it as
//! part of its own last step: `klp_final.mk`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use object::build::Id;
use object::build::elf::{Builder, Relocation, SectionData, SectionId, SymbolId};
use object::elf::{
    FileHeader64, SHF_ALLOC, SHN_ABS, SHN_UNDEF, SHT_RELA, SHT_SYMTAB, STB_GLOBAL, STT_NOTYPE, SectionFlags,
    SymbolSection,
};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{LittleEndian, SymbolIndex};

use crate::error::{Error, Result};
use crate::inspect::symbols::PREFIX;

/// Arguments of `cargo klp finish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The module.
    ko: PathBuf,
}

/// The symbol by whose value the glue knows that all symbols were marked: how many.
const MARK: &str = "klp_glue_symbols";

/// `SHN_LIVEPATCH`: a symbol that the livepatch core finds.
const SHN_LIVEPATCH: SymbolSection = SymbolSection(0xff20);
/// `SHF_RELA_LIVEPATCH`: relocations that the livepatch core applies.
const SHF_RELA_LIVEPATCH: SectionFlags = SectionFlags(0x0010_0000);

/// Finishes a module in place.
pub fn main(args: &Args) -> Result<ExitCode> {
    let data = fs::read(&args.ko).map_err(Error::io("read", &args.ko))?;
    let finished = finish(&data)?;
    check(&args.ko, &finished)?;
    // Whole or not at all: a file that is half of each must not be there.
    let partial = args.ko.with_extension("ko.tmp");
    fs::write(&partial, finished).map_err(Error::io("write", &partial))?;
    fs::rename(&partial, &args.ko).map_err(Error::io("write", &args.ko))?;
    Ok(ExitCode::SUCCESS)
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
        if !target.is_alloc() || (object != crate::symbols::VMLINUX && target_name.starts_with(".init")) {
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
