//! Changes in the linked object: the names of symbols that are not exported, symbols that nothing uses, and flags of
//! sections that the kernel reads differently from the linker.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use object::LittleEndian;
use object::build::Id;
use object::build::elf::{Builder, SectionData, SymbolId};
use object::elf::{FileHeader64, SHF_GNU_RETAIN, SHN_UNDEF, SHT_PROGBITS, SHT_STRTAB, STB_WEAK};
use object::read::elf::{FileHeader, SectionHeader};

use crate::error::{Error, Result};
use crate::kernel::Arch;
use crate::patch::resolve::{Resolved, ResolvedSymbol};

/// What Clang notes of addresses for LLVM's linker, which nothing reads in a module: `SHT_LLVM_ADDRSIG`.
const ADDRESSES: u32 = 0x6fff_4c03;

/// An object file without the type of section that the writer does not know. [`builder`] then drops the section.
pub(super) fn without_address_notes<'data>(
    data: &'data [u8],
    what: &'static str,
) -> Result<Cow<'data, [u8]>> {
    const LE: LittleEndian = LittleEndian;
    /// The offset of the type in a section's header.
    const TYPE: usize = 4;
    let header = FileHeader64::<LittleEndian>::parse(data).map_err(Error::elf(what))?;
    let sections = header.section_headers(LE, data).map_err(Error::elf(what))?;
    let mut changed = Cow::Borrowed(data);
    for (index, _) in sections.iter().enumerate().filter(|(_, section)| section.sh_type(LE).0 == ADDRESSES) {
        let at = usize::try_from(header.e_shoff(LE))
            .unwrap_or(usize::MAX)
            .saturating_add(index * size_of_val(&sections[0]) + TYPE);
        if let Some(kind) = changed.to_mut().get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *kind = SHT_PROGBITS.0.to_le_bytes();
        }
    }
    Ok(changed)
}

/// An object file to be changed and written anew.
///
/// # Errors
///
/// The file is damaged. The writer relies on the alignments and pads as they say, so they are checked here.
pub(super) fn builder<'data>(data: &'data [u8], what: &'static str) -> Result<Builder<'data>> {
    /// More than the kernel can give to a section.
    const LARGEST: u64 = 1 << 20;
    let mut builder = Builder::read(data).map_err(Error::elf_build(what))?;
    // 0 and 1 mean the same, but not to the writer.
    builder.sections.iter_mut().for_each(|section| section.sh_addralign = section.sh_addralign.max(1));
    builder.sections.iter_mut().for_each(|section| section.delete |= *section.name == *b".llvm_addrsig");
    // Clang puts the names of sections among those of symbols, the writer in a section of their own.
    if !builder.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = b".shstrtab"[..].into();
        names.sh_type = SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    let is_odd = |align: u64| align > LARGEST || !align.is_power_of_two();
    if let Some(section) = builder.sections.iter().find(|section| is_odd(section.sh_addralign)) {
        let (name, align) = (String::from_utf8_lossy(&section.name), section.sh_addralign);
        return Err(Error::Request {
            message: format!("cannot {what}: its section {name} is aligned to {align}"),
            help: "the object file is damaged: build it again".into(),
        });
    }
    Ok(builder)
}

/// Gives the symbols of an object file their final names, makes calls of originals skip the redirection, and drops
/// symbols that nothing uses and flags that only concern the linker.
///
/// The symbols are weak, because modpost lets only weak symbols be undefined. `cargo klp finish` turns them into
/// livepatch symbols.
pub fn adapt(data: &[u8], resolved: &Resolved) -> Result<Vec<u8>> {
    let what = "name the symbols of the linked object";
    let elf = || Error::elf_build(what);
    let data = without_address_notes(data, what)?;
    let mut builder = builder(&data, what)?;
    let mut skipped = BTreeMap::new();
    for symbol in &mut builder.symbols {
        if let Some(target) = std::str::from_utf8(&symbol.name).ok().and_then(|name| resolved.get(name)) {
            if target.skipped > 0 {
                skipped.insert(symbol.id().index(), target);
            }
            symbol.name = target.name.clone().into_bytes().into();
            symbol.set_st_info(STB_WEAK, symbol.st_type());
        }
    }
    skip(&mut builder, Arch::of_elf(&data), &skipped)?;
    drop_unused(&mut builder);
    release(&mut builder);
    let mut adapted = Vec::new();
    builder.write(&mut adapted).map_err(elf())?;
    Ok(adapted)
}

/// Drops undefined symbols that only code used which the linker has dropped: the glue would define them, and the
/// kernel would look for each. Also drops labels of the compiler, whose names the kernel would keep in memory.
fn drop_unused(builder: &mut Builder<'_>) {
    let mut used = BTreeSet::new();
    for section in &builder.sections {
        if let SectionData::Relocation(relocations) = &section.data {
            let symbols = relocations.iter().filter_map(|relocation| relocation.symbol);
            used.extend(symbols.map(|symbol| symbol.index()));
        }
    }
    for symbol in &mut builder.symbols {
        let is_defined = symbol.section.is_some() || symbol.st_shndx != SHN_UNDEF;
        let is_for_use = !is_defined || symbol.name.starts_with(b".L");
        symbol.delete |= is_for_use && !used.contains(&symbol.id().index());
    }
}

/// Removes the flag that keeps `#[used]` items at link time: the module loader takes it for
/// `SHF_RO_AFTER_INIT`, and would make everything read-only that Kbuild links into the same section.
fn release(builder: &mut Builder<'_>) {
    for section in &mut builder.sections {
        section.sh_flags.0 &= !SHF_GNU_RETAIN.0;
    }
}

/// Moves the targets of calls, by symbol. Only direct calls and jumps will do: an indirect one must land at the start
/// of a function.
fn skip(
    builder: &mut Builder<'_>,
    arch: Option<&Arch>,
    targets: &BTreeMap<usize, &ResolvedSymbol>,
) -> Result<()> {
    let target_of = |symbol: Option<SymbolId>| targets.get(&symbol?.index()).copied();
    let code: Vec<Vec<u8>> = builder
        .sections
        .iter()
        .map(|section| match &section.data {
            SectionData::Data(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        })
        .collect();
    for section in &mut builder.sections {
        // Section numbers start at 1.
        let code = (section.sh_info as usize).checked_sub(1).and_then(|index| code.get(index));
        let SectionData::Relocation(relocations) = &mut section.data else { continue };
        for relocation in relocations {
            let Some(target) = target_of(relocation.symbol) else { continue };
            let is_direct = code.zip(usize::try_from(relocation.r_offset).ok()).is_some_and(|(code, at)| {
                arch.is_some_and(|arch| arch.code.is_direct_call(code, at, relocation.r_type))
            });
            let addend = relocation.r_addend.checked_add(target.skipped.cast_signed());
            let Some(addend) = addend.filter(|_| is_direct) else {
                return Err(Error::Request {
                    message: format!("the patch uses {}, but does not call it directly", target.name),
                    help: "this is a defect of klp: report it with the version of rustc".into(),
                });
            };
            relocation.r_addend = addend;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use object::elf::SHN_ABS;
    use object::{Object as _, ObjectSymbol as _};

    use super::*;
    use crate::kernel::example::module;

    fn resolved(skipped: u64) -> Resolved {
        let target = ResolvedSymbol { name: ".klp.sym.vmlinux.f,0".into(), skipped };
        [("placeholder".to_owned(), target)].into()
    }

    /// The addends of the relocations in `.text`.
    fn addends(data: &[u8]) -> Vec<i64> {
        use object::ObjectSection as _;
        let file = object::File::parse(data).unwrap();
        let text = file.section_by_name(".text").unwrap();
        text.relocations().map(|(_, relocation)| relocation.addend()).collect()
    }

    #[test]
    fn calls_of_an_original_skip_its_start() {
        let data = module(&["placeholder", "printk"], &[]);
        for (skipped, addend) in [(0, -4), (5, 1), (9, 5)] {
            let renamed = adapt(&data, &resolved(skipped)).unwrap();
            assert_eq!(addends(&renamed), [addend, -4]);
            let file = object::File::parse(&*renamed).unwrap();
            let symbol = file.symbol_by_name(".klp.sym.vmlinux.f,0").unwrap();
            assert!(symbol.is_undefined() && symbol.is_weak());
            assert!(file.symbol_by_name("placeholder").is_none());
        }
    }

    #[test]
    fn an_original_is_no_pointer() {
        let data = module(&[], &["placeholder"]);
        let error = adapt(&data, &resolved(9)).unwrap_err().to_string();
        assert!(error.contains("does not call it directly"), "{error}");
        adapt(&data, &resolved(0)).unwrap();
    }

    /// No compiler makes such a call; a damaged object may have it.
    #[test]
    fn a_distance_that_does_not_exist() {
        let data = module(&["placeholder"], &[]);
        let mut builder = Builder::read(&*data).unwrap();
        for section in &mut builder.sections {
            if let SectionData::Relocation(relocations) = &mut section.data {
                relocations.iter_mut().for_each(|relocation| relocation.r_addend = i64::MAX);
            }
        }
        let mut damaged = Vec::new();
        builder.write(&mut damaged).unwrap();
        assert!(adapt(&damaged, &resolved(9)).is_err());
        adapt(&damaged, &resolved(0)).unwrap();
    }

    #[test]
    fn symbols_that_nothing_uses_are_dropped() {
        let data = module(&["printk"], &[]);
        let mut builder = Builder::read(&*data).unwrap();
        builder.symbols.add().name = b"unused"[..].into();
        let label = builder.symbols.add();
        label.name = b".Ltmp1"[..].into();
        label.st_shndx = SHN_ABS;
        let mut linked = Vec::new();
        builder.write(&mut linked).unwrap();
        let names = |data: &[u8]| {
            let file = object::File::parse(data).unwrap();
            let all = file.symbols().filter(|symbol| symbol.is_undefined() || symbol.name() == Ok(".Ltmp1"));
            all.map(|symbol| symbol.name().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        let (before, after) = (names(&linked), names(&adapt(&linked, &Resolved::new()).unwrap()));
        assert!([".Ltmp1", "printk", "unused"].iter().all(|name| before.contains(*name)), "{before:?}");
        assert_eq!(after, ["printk".to_owned()].into());
    }

    /// `SHF_GNU_RETAIN` is the module loader's `SHF_RO_AFTER_INIT`.
    #[test]
    fn no_section_keeps_the_flag_of_used_items() {
        let data = module(&[], &["printk"]);
        let mut builder = Builder::read(&*data).unwrap();
        builder.sections.iter_mut().for_each(|section| section.sh_flags.0 |= SHF_GNU_RETAIN.0);
        let mut retained = Vec::new();
        builder.write(&mut retained).unwrap();
        assert_eq!(
            crate::patch::verify::faults(&retained).unwrap().len(),
            2,
            "in .init.data and this_module"
        );
        let adapted = adapt(&retained, &Resolved::new()).unwrap();
        assert_eq!(crate::patch::verify::faults(&adapted).unwrap(), Vec::<String>::new());
    }

    /// Found by fuzzing: the writer would panic, or pad until memory ends.
    #[test]
    fn alignments_that_no_linker_makes_are_refused() {
        for (align, is_taken) in [(0, true), (1, true), (4096, true), (3, false), (1 << 40, false)] {
            let mut data = module(&[], &[]);
            // The section table is at the end; the alignment is 48 bytes into that of the first section.
            let table = u64::from_le_bytes(data[40..48].try_into().unwrap()) as usize;
            data[table + 64 + 48..][..8].copy_from_slice(&u64::to_le_bytes(align));
            assert_eq!(adapt(&data, &Resolved::new()).is_ok(), is_taken, "{align}");
        }
    }
}
