//! Relocations that no kernel applies, said while the place in the source can still be found: a finished module
//! has no lines.

use std::collections::BTreeSet;

use object::elf::RelocationType;
use object::{Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget};

use super::places::Places;
use crate::error::{Error, Result};
use crate::kernel::{Arch, Kernel};
use crate::patch::inspect::name_in_source;

/// Refuses a linked object with relocations that the kernel's module loader does not apply.
///
/// # Errors
///
/// Each kind of relocation and symbol, with the place in the source.
pub(super) fn check(linked: &object::File<'_>, kernel: &Kernel, places: &Places<'_>) -> Result<()> {
    let arch = kernel.arch();
    let mut found = BTreeSet::new();
    for section in linked.sections().filter(is_loaded) {
        for (_, relocation) in section.relocations() {
            let (RelocationFlags::Elf { r_type }, RelocationTarget::Symbol(symbol)) =
                (relocation.flags(), relocation.target())
            else {
                continue;
            };
            if arch.relocations.width(r_type).is_none() {
                let symbol =
                    linked.symbol_by_index(symbol).and_then(|symbol| symbol.name().map(str::to_owned));
                found.insert((r_type.0, symbol.unwrap_or_default()));
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let fault = |(kind, symbol): &(u32, String)| {
        let kind = RelocationType(*kind);
        let place = places.of_relocation(kind, symbol).map(|place| format!("{place}: ")).unwrap_or_default();
        format!("{place}{}", why(arch, kind, &name_in_source(symbol)))
    };
    Err(Error::Unfit { release: kernel.release.clone(), faults: found.iter().map(fault).collect() })
}

/// Whether a section has a place in memory.
fn is_loaded(section: &object::Section<'_, '_>) -> bool {
    matches!(section.flags(), object::SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(object::elf::SHF_ALLOC))
}

fn why(arch: &Arch, kind: RelocationType, symbol: &str) -> String {
    let name = arch.relocations.name(kind);
    if arch.relocations.is_thread_local(kind) {
        return format!(
            "`{symbol}` is a thread-local variable ({name}), and the kernel has none: use a static with an atomic or a \
             lock, or a shadow variable of the task"
        );
    }
    if name.contains("GOT") {
        return format!(
            "the address of `{symbol}` is read from a global offset table ({name}), and a kernel module has none: {}",
            arch.relocations.instead_of_got.replace("NAME", symbol)
        );
    }
    format!("`{symbol}` is used in a way ({name}) that the kernel's module loader does not know")
}

#[cfg(test)]
mod tests {
    use object::elf::{R_X86_64_GOTPCREL, R_X86_64_REX_GOTPCRELX, R_X86_64_SIZE64, R_X86_64_TPOFF32};

    use super::*;
    use crate::kernel::arch::X86_64;

    #[test]
    fn each_kind_says_what_to_write() {
        for (kind, text) in [
            (R_X86_64_TPOFF32, "`f` is a thread-local variable (R_X86_64_TPOFF32)"),
            (R_X86_64_GOTPCREL, "write `f` where the assembly has `f@GOTPCREL`"),
            (R_X86_64_REX_GOTPCRELX, "(R_X86_64_REX_GOTPCRELX), and a kernel module has none"),
            (R_X86_64_SIZE64, "`f` is used in a way (R_X86_64_SIZE64)"),
        ] {
            let why = why(&X86_64, kind, "f");
            assert!(why.contains(text), "{why}");
        }
    }
}
