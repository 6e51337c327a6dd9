//! Checks relocations: the loader must apply their types, in these places.

use std::collections::BTreeSet;

use object::elf::SHT_NOBITS;
use object::read::elf::{Rela, SectionHeader, Sym};
use object::{SectionIndex, SymbolIndex};

use super::{LE, Module, RELOCATION_PREFIX, SHF_RELA_LIVEPATCH, SHN_LIVEPATCH, Section, is_alloc, object_of};

/// The faults of the relocations, each kind once for a section and symbol.
pub fn faults(module: &Module<'_>) -> Vec<String> {
    let mut faults = BTreeSet::new();
    for section in module.sections.iter() {
        // The others belong to sections that the loader does not load; it ignores them.
        let Ok(target) = module.sections.section(SectionIndex(section.sh_info(LE) as usize)) else {
            continue;
        };
        let is_livepatch = section.sh_flags(LE).contains(SHF_RELA_LIVEPATCH);
        if let Ok(Some((relocations, _))) = section.rela(LE, module.data)
            && (is_alloc(target) || is_livepatch)
        {
            for relocation in relocations {
                let at = |fault| format!("relocation of {}: {fault}", module.name(target));
                faults.extend(fault(module, section, target, relocation).map(at));
            }
        }
    }
    faults.into_iter().collect()
}

fn fault(
    module: &Module<'_>,
    section: &Section,
    target: &Section,
    relocation: &object::elf::Rela64<object::LittleEndian>,
) -> Option<String> {
    let Ok(symbol) = module.symbols.symbol(SymbolIndex(relocation.r_sym(LE, false) as usize)) else {
        return Some("it refers to a symbol that the file does not have".into());
    };
    let name = module.symbol_name(symbol);
    let (kind, relocations) = (relocation.r_type(LE, false), &module.arch.relocations);
    let Some(width) = relocations.width(kind) else {
        let is_thread_local = relocations.is_thread_local(kind);
        let why = if is_thread_local { ": the kernel has no thread-local variables" } else { "" };
        let kind = relocations.name(kind);
        return Some(format!("{kind} of `{name}` is not one that the kernel's module loader applies{why}"));
    };
    let (is_livepatch, of_livepatch) =
        (section.sh_flags(LE).contains(SHF_RELA_LIVEPATCH), symbol.st_shndx(LE) == SHN_LIVEPATCH);
    if is_livepatch != of_livepatch {
        let should = if of_livepatch { "must" } else { "must not" };
        return Some(format!("`{name}` {should} be in a section of livepatch relocations"));
    }
    if is_livepatch {
        let section = module.name(section);
        let object = section.strip_prefix(RELOCATION_PREFIX).and_then(|rest| rest.split('.').next());
        if object != object_of(&name) {
            return Some(format!("`{name}` is in {section}, which belongs to another object"));
        }
    }
    if target.sh_type(LE) == SHT_NOBITS {
        return Some(format!("`{name}` in a section without contents"));
    }
    let data = target.data(LE, module.data).unwrap_or_default();
    let start = usize::try_from(relocation.r_offset(LE)).unwrap_or(usize::MAX);
    match start.checked_add(width).and_then(|end| data.get(start..end)) {
        None => Some(format!("`{name}` is beyond the end of the section")),
        // apply_relocate_add refuses it, so that no relocation is applied twice.
        Some(place) if relocations.needs_zero && place.iter().any(|byte| *byte != 0) => {
            Some(format!("`{name}` at {start:#x} has a value already, which the kernel refuses"))
        }
        Some(_) => None,
    }
}
