//! Adds livepatch symbols and relocations to a module that Kbuild has linked.
//!
//! Linkers keep neither, so this is the last step, after BTF; what it has made is signed. Kbuild runs `cargo klp finish`
//! as part of its own last step: `klp_final.mk`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use object::build::Id;
use object::build::elf::{Builder, Relocation, SectionData, SectionId, SymbolId};
use object::elf::{SHF_ALLOC, SHN_UNDEF, SHT_RELA, STB_GLOBAL, SectionFlags};
use object::{Object, ObjectSection};

use super::linked::{builder, without_address_notes};
use super::record::Place;
use super::traced::make_traceable;
use crate::error::{Error, Result};
use crate::host::digest::Digest;
use crate::kernel::Kernel;
use crate::kernel::signing::SigningKey;
use crate::kernel::symbols::VMLINUX;
use crate::patch::inspect::symbols::PREFIX;
use crate::patch::manifest::Manifest;
use crate::patch::verify::{self, RELOCATION_PREFIX, SHF_RELA_LIVEPATCH, SHN_LIVEPATCH};

/// Finishes a module that Kbuild has linked as `unfinished`: only a module that passes all checks, and is signed if there
/// is a key, becomes `ko`.
pub fn finish_file(unfinished: &Path, ko: &Path, signing: Option<(&SigningKey, &Kernel)>) -> Result<()> {
    let data = fs::read(unfinished).map_err(Error::io("read", unfinished))?;
    // If this fails, no file of that name may be left that could be taken for a module.
    fs::remove_file(unfinished).map_err(Error::io("remove", unfinished))?;
    let mut finished = finish(&data)?;
    verify(ko, &finished)?;
    if let Some((key, kernel)) = signing {
        finished = key.sign(&finished, kernel)?;
    }
    Place::of(ko).complete(&Digest::of(&finished))?;
    fs::write(unfinished, finished).map_err(Error::io("write", unfinished))?;
    fs::rename(unfinished, ko).map_err(Error::io("write", ko))
}

/// Refuses a finished module that the kernel would read differently from the linker.
pub(super) fn verify(ko: &Path, data: &[u8]) -> Result<()> {
    let faults = verify::faults(data)?;
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Unloadable { path: ko.into(), faults })
}

/// The module with its livepatch symbols and relocations, and without traces of the machine that built it.
///
/// # Errors
///
/// The module is damaged, or a symbol is used where the kernel could not resolve it in time.
pub fn finish(data: &[u8]) -> Result<Vec<u8>> {
    let what = "finish the module";
    let elf = || Error::elf_build(what);
    let file = object::File::parse(data).map_err(Error::elf(what))?;
    let mut manifest = Manifest::default();
    manifest.add_file(&file)?;
    let data = without_address_notes(data, what)?;
    let mut builder = builder(&data, what)?;
    strip_debug(&mut builder);
    make_traceable(&mut builder, &manifest.funcs.iter().map(|func| &*func.symbol).collect());
    let objects = mark_symbols(&mut builder);
    move_relocations(&mut builder, &objects)?;
    let mut finished = Vec::new();
    builder.write(&mut finished).map_err(elf())?;
    set_build_id(&mut finished)?;
    Ok(finished)
}

/// Drops the debug information of the glue, which is full of paths; the debug information of the patch's own code
/// was never linked. BTF stays.
fn strip_debug(builder: &mut Builder<'_>) {
    for section in &mut builder.sections {
        section.delete |= section.name.starts_with(b".debug_") || section.name.starts_with(b".rela.debug_");
    }
    builder.delete_orphan_symbols();
}

/// Computes a new build ID from the module as it is now: the linker's build ID covers the debug information too.
fn set_build_id(module: &mut [u8]) -> Result<()> {
    let file = object::File::parse(&*module).map_err(Error::elf("read the finished module"))?;
    let range = file.section_by_name(".note.gnu.build-id").and_then(|section| section.file_range());
    let Some(note) = range.and_then(|(start, len)| Some(start as usize..start.checked_add(len)? as usize))
    else {
        return Ok(());
    };
    // Behind the sizes, the type and the name "GNU".
    let id = note.start + 16..note.end.max(note.start + 16);
    let Some(old) = module.get_mut(id.clone()) else { return Ok(()) };
    old.fill(0);
    let digest = Digest::of(&*module);
    module[id].iter_mut().zip(digest.bytes()).for_each(|(byte, new)| *byte = *new);
    Ok(())
}

/// Marks the symbols, and returns the object that each belongs to.
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
    objects
}

/// Tables that the kernel reads when it loads a module, and does not read again when it applies the relocations of
/// an object that comes.
const READ_EARLY: [&str; 4] = ["__jump_table", ".static_call_sites", ".altinstructions", ".parainstructions"];

/// A section of relocations to create: the object, the section that it applies to, its relocations.
type New = BTreeMap<(String, usize), (SectionId, Vec<Relocation>)>;

/// Moves the relocations that refer to the symbols to sections of their own.
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
        if object != VMLINUX && READ_EARLY.contains(&&*target_name) {
            return Err(Error::Request {
                message: format!(
                    "a static key, static call or tracepoint of {object} is used ({target_name}): the kernel reads this \
                     table before it knows the symbols of {object}"
                ),
                help: "ask `static_key_enabled()`, which reads the key itself; leave tracepoints out".into(),
            });
        }
        // The kernel applies those of vmlinux while it loads the module, the others at any time.
        if !target.is_alloc() || (object != VMLINUX && target_name.starts_with(".init")) {
            return Err(Error::Request {
                message: format!(
                    "a symbol of {object} is used in the section {target_name}, which the kernel frees"
                ),
                help: "use it in functions only".into(),
            });
        }
        let target = target.id();
        let section = builder.sections.add();
        section.name = format!("{RELOCATION_PREFIX}{object}.{target_name}").into_bytes().into();
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

#[cfg(test)]
mod tests {
    use object::LittleEndian;
    use object::elf::FileHeader64;
    use object::read::elf::{FileHeader, SectionHeader};

    use super::*;
    use crate::kernel::example::module;
    use crate::patch::verify::faults;

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
        let left = file.section_by_name(".text").unwrap();
        assert!(left.data().unwrap().starts_with(&[0xe8, 0, 0, 0, 0]));
    }

    /// The kernel would use an entry of the table whose key is still NULL.
    #[test]
    fn what_a_module_has_is_not_for_tables_that_are_read_early() {
        let in_jump_table = |symbol: &str| {
            let data = module(&[], &[symbol]);
            let mut builder = Builder::read(&*data).unwrap();
            for section in &mut builder.sections {
                if &*section.name == b".init.data" {
                    section.name = b"__jump_table"[..].into();
                }
            }
            let mut renamed = Vec::new();
            builder.write(&mut renamed).unwrap();
            finish(&renamed)
        };
        let error = in_jump_table(".klp.sym.nf_tables.f,0").unwrap_err().to_string();
        assert!(error.contains("tracepoint of nf_tables is used (__jump_table)"), "{error}");
        in_jump_table(".klp.sym.vmlinux.f,0").unwrap();
    }

    #[test]
    fn what_a_module_has_is_not_for_init_data() {
        let error = finish(&module(&[], &[".klp.sym.nf_tables.f,0"])).unwrap_err().to_string();
        assert!(error.contains("nf_tables is used in the section .init.data"), "{error}");
    }
}
