//! Checks the symbol table.

use object::elf::{SHN_ABS, SHN_COMMON, SHN_LORESERVE, SHN_UNDEF, STT_GNU_IFUNC, STT_TLS};
use object::read::elf::Sym;

use super::{LE, Module, SHN_LIVEPATCH, SYMBOL_PREFIX, object_of};

/// The faults of the symbols.
pub fn faults(module: &Module<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for symbol in module.symbols.iter() {
        let name = module.symbol_name(symbol);
        let place = symbol.st_shndx(LE);
        let fault = if name.starts_with(SYMBOL_PREFIX) && place != SHN_LIVEPATCH {
            Some(
                "it is not marked as a livepatch symbol, so the kernel would not find it: the module was not \
                 finished, or was linked again after that"
                    .to_owned(),
            )
        } else if place == SHN_LIVEPATCH && object_of(&name).is_none() {
            Some(format!(
                "it is marked as a livepatch symbol, so its name must be {SYMBOL_PREFIX}OBJECT.NAME,POSITION"
            ))
        } else if place == SHN_LIVEPATCH && !module.is_livepatch {
            Some("it is a livepatch symbol, but the module's .modinfo lacks livepatch=Y".to_owned())
        } else if place == SHN_COMMON {
            Some("it is a common symbol, which the kernel refuses: compile with -fno-common".to_owned())
        } else if symbol.st_type() == STT_TLS {
            Some("it is a thread-local variable, which the kernel does not have".to_owned())
        } else if symbol.st_type() == STT_GNU_IFUNC {
            Some("it is chosen by a function when a program starts, which the kernel does not do".to_owned())
        } else if place.0 >= SHN_LORESERVE && ![SHN_ABS, SHN_LIVEPATCH].contains(&place) {
            Some(format!("it is in the section {:#x}, which the kernel does not know", place.0))
        } else if place != SHN_UNDEF
            && place.0 < SHN_LORESERVE
            && usize::from(place.0) >= module.sections.len()
        {
            Some(format!("it is in the section {}, which the file does not have", place.0))
        } else {
            None
        };
        faults.extend(fault.map(|fault| format!("symbol {name}: {fault}")));
    }
    faults
}
