//! A module to try readers and writers of modules on.

use object::elf::{R_X86_64_32S, R_X86_64_PLT32};
use object::write::{Object, Relocation, StandardSegment, Symbol, SymbolId};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope,
};

/// A livepatch module whose code calls `called`, each of them once, and whose init data points to `in_init`.
pub(crate) fn module(called: &[&str], in_init: &[&str]) -> Vec<u8> {
    let mut file = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let text = file.add_section(Vec::new(), b".text".to_vec(), SectionKind::Text);
    let init = file.add_section(Vec::new(), b".init.data".to_vec(), SectionKind::Data);
    let modinfo = file.add_section(Vec::new(), b".modinfo".to_vec(), SectionKind::ReadOnlyData);
    file.append_section_data(modinfo, b"livepatch=Y\0name=x\0", 1);
    let segment = file.segment_name(StandardSegment::Data).to_vec();
    let this = file.add_section(segment, b".gnu.linkonce.this_module".to_vec(), SectionKind::Data);
    file.append_section_data(this, &[0; 64], 64);
    let undefined = |file: &mut Object<'_>, name: &str| -> SymbolId {
        file.add_symbol(Symbol {
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
    let relocate = |file: &mut Object<'_>, section, offset, symbol, r_type, addend| {
        let flags = RelocationFlags::Elf { r_type };
        file.add_relocation(section, Relocation { offset, symbol, addend, flags }).unwrap();
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
