//! Checks the section table: flags, types and alignment.

use object::elf::{
    SHF_ALLOC, SHF_EXCLUDE, SHF_EXECINSTR, SHF_GNU_RETAIN, SHF_GROUP, SHF_INFO_LINK, SHF_LINK_ORDER,
    SHF_MERGE, SHF_STRINGS, SHF_TLS, SHF_WRITE, SHT_CREL, SHT_FINI_ARRAY, SHT_INIT_ARRAY, SHT_NOBITS,
    SHT_NOTE, SHT_PREINIT_ARRAY, SHT_PROGBITS, SHT_REL, SHT_RELA, SHT_RELR, SHT_SYMTAB, SectionFlags,
};
use object::read::elf::SectionHeader;

use super::{LE, Module, RELOCATION_PREFIX, SHF_RELA_LIVEPATCH, Section, is_alloc};

/// The flags that the linker and the loader read alike, or that the loader ignores.
const KNOWN: SectionFlags = SectionFlags(
    SHF_WRITE.0
        | SHF_ALLOC.0
        | SHF_EXECINSTR.0
        | SHF_MERGE.0
        | SHF_STRINGS.0
        | SHF_INFO_LINK.0
        | SHF_LINK_ORDER.0
        | SHF_GROUP.0,
);

/// The loader's memory is aligned to pages only.
const PAGE: u64 = 4096;

/// Sections that a module must have exactly once, with the consequence of lacking them.
const ONCE: [(&str, &str); 2] =
    [(".modinfo", "the kernel refuses it"), (".gnu.linkonce.this_module", "it is not a finished module")];

/// The faults of the sections.
pub fn faults(module: &Module<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for section in module.sections.iter().skip(1) {
        let fault = fault(module, section).map(|fault| format!("section {}: {fault}", module.name(section)));
        faults.extend(fault);
    }
    for (name, without) in ONCE {
        match module.sections.iter().filter(|section| module.name(section) == name).count() {
            1 => {}
            0 => faults.push(format!("section {name} is missing: {without}")),
            several => faults.push(format!("section {name} is there {several} times but must be there once")),
        }
    }
    let tables = module.sections.iter().filter(|section| section.sh_type(LE) == SHT_SYMTAB).count();
    match tables {
        1 => {}
        0 => {
            faults.push("the symbol table is missing: strip a module with `strip --strip-debug` only".into())
        }
        _ => faults.push(format!("it has {tables} symbol tables but must have one")),
    }
    faults
}

fn fault(module: &Module<'_>, section: &Section) -> Option<String> {
    let (kind, flags) = (section.sh_type(LE), section.sh_flags(LE));
    if section.data(LE, module.data).is_err() {
        return Some("its contents are beyond the end of the file".into());
    }
    if [SHT_REL, SHT_RELR, SHT_CREL].contains(&kind) {
        return Some(format!(
            "its relocations have a type that the kernel does not apply on {}",
            module.arch.name
        ));
    }
    if !is_alloc(section) {
        return None;
    }
    if flags.contains(SHF_RELA_LIVEPATCH) || kind == SHT_RELA {
        return livepatch_fault(module, section);
    }
    match kind {
        SHT_PROGBITS | SHT_NOBITS | SHT_NOTE => {}
        // A kernel that is configured with constructors calls them, and finds them by the section's name.
        SHT_INIT_ARRAY => {}
        // The kernel itself does the work of gcc's address sanitizer's destructors when it frees the module.
        SHT_FINI_ARRAY if module.imports("__asan_unregister_globals") => {}
        SHT_FINI_ARRAY | SHT_PREINIT_ARRAY => {
            return Some("the kernel does not call the functions that it lists".into());
        }
        unknown => return Some(format!("its type {:#x} is unknown to the kernel", unknown.0)),
    }
    if flags.contains(SHF_TLS) {
        return Some("it holds thread-local variables, which the kernel does not have".into());
    }
    if flags.contains(SHF_GNU_RETAIN) && flags.contains(SHF_WRITE) {
        return Some(
            "it has the flag SHF_GNU_RETAIN, which the kernel reads as SHF_RO_AFTER_INIT: it would make the \
             section read-only once the module is initialized"
                .into(),
        );
    }
    let unknown = flags.0 & !(KNOWN.0 | SHF_GNU_RETAIN.0 | SHF_EXCLUDE.0);
    if unknown != 0 {
        return Some(format!("its flag {unknown:#x} is unknown to the kernel"));
    }
    if flags.contains(SHF_WRITE) && flags.contains(SHF_EXECINSTR) {
        return Some("it is writable and executable, which the kernel refuses".into());
    }
    let alignment = section.sh_addralign(LE);
    if alignment > PAGE || !(alignment == 0 || alignment.is_power_of_two()) {
        return Some(format!("the kernel can't align it to {alignment}: at most to {PAGE}"));
    }
    None
}

/// The fault of a section of livepatch relocations, if any.
fn livepatch_fault(module: &Module<'_>, section: &Section) -> Option<String> {
    let name = module.name(section);
    let (kind, flags) = (section.sh_type(LE), section.sh_flags(LE));
    if kind != SHT_RELA || !flags.contains(SHF_RELA_LIVEPATCH) || !name.starts_with(RELOCATION_PREFIX) {
        return Some(format!(
            "the kernel applies livepatch relocations of a section with the type RELA, the flag \
             SHF_RELA_LIVEPATCH and a name that starts with {RELOCATION_PREFIX}; this one has the type {:#x} and the \
             flags {:#x}",
            kind.0, flags.0
        ));
    }
    if !module.is_livepatch {
        return Some("it has livepatch relocations, but the module's .modinfo lacks livepatch=Y".into());
    }
    // `klp_resolve_symbols`: `.klp.rela.OBJECT.SECTION`.
    let parts = name.strip_prefix(RELOCATION_PREFIX).and_then(|rest| rest.split_once('.'));
    if parts.is_none_or(|(object, target)| object.is_empty() || target.is_empty()) {
        return Some(format!("its name must be {RELOCATION_PREFIX}OBJECT.SECTION"));
    }
    let unknown = flags.0 & !(KNOWN.0 | SHF_RELA_LIVEPATCH.0);
    (unknown != 0).then(|| format!("its flag {unknown:#x} is unknown to the kernel"))
}
