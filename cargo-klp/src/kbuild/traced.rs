//! Lets ftrace trace the functions that run in place of the kernel's, under the names that their author gave them.
//!
//! gcc begins each function with a call of `__fentry__` and lists the places of these calls, which the kernel replaces
//! by a no-op of the same length as it loads the module. rustc can only leave room for the call
//! ([`klp_format::env::FTRACE_ROOM`]). Here the room becomes what gcc has put into the functions of the glue, and its place is
//! listed beside theirs. So a replacement costs what it costs in C: the no-op. Where gcc leaves room too, as on arm64, rustc
//! lists the places itself.
//!
//! A replacement with the name of a function that the patch redirects gets `livepatch_` before it: since Linux 6.6 no
//! kprobe can be set by a name that the kernel and a module both have.

use std::collections::BTreeSet;

use klp_format::CALLER_PREFIX;
use object::build::elf::{Builder, Relocation, SectionData, SectionId, SymbolId};
use object::elf::{R_X86_64_64, R_X86_64_PLT32, STT_FUNC};

use crate::kernel::arch::x86_64::{ENDBR64, NOP};

/// The kernel's list of places.
const PLACES: &[u8] = b"__mcount_loc";
/// The room, as LLVM makes it: a no-op whose last byte may be any.
const ROOM: [u8; NOP.len() - 1] = [0x0f, 0x1f, 0x44, 0x00];
/// A call, before its relocation.
const CALL: [u8; NOP.len()] = [0xe8, 0, 0, 0, 0];

/// Stands before the name of a function in the name that objtool gives to its padding.
const PADDING_PREFIX: &str = "__pfx_";
/// Stands before a name that the kernel has too.
const CLASH_PREFIX: &str = "livepatch_";

/// An offset in a section.
type Place = (SectionId, u64);

/// What stands at the places of a module.
#[derive(Clone, Copy)]
enum Style {
    /// A call of this symbol, in most kernels.
    Call(SymbolId),
    /// The no-op, where objtool has replaced the calls.
    Nop,
}

/// Names the functions that run in place of the kernel's, and lists those with room for ftrace. A module without a list, of
/// a kernel without ftrace, gets none. `redirected` are the functions that the patch redirects.
pub(super) fn make_traceable(builder: &mut Builder<'_>, redirected: &BTreeSet<&str>) {
    let mut functions = Vec::new();
    for symbol in builder.symbols.iter_mut().filter(|symbol| symbol.st_type() == STT_FUNC) {
        let (padding, mangled) = match symbol.name.strip_prefix(PADDING_PREFIX.as_bytes()) {
            Some(function) => (PADDING_PREFIX, function),
            None => ("", &*symbol.name),
        };
        let (Some(section), Some(name)) = (symbol.section, written(mangled)) else { continue };
        let clash = if redirected.contains(&*name) { CLASH_PREFIX } else { "" };
        symbol.name = format!("{padding}{clash}{name}").into_bytes().into();
        if padding.is_empty() {
            functions.push((symbol.id(), (section, symbol.st_value)));
        }
    }
    let Some((list, style)) = list(builder) else { return };
    for (function, start) in functions {
        let Some(place) = room(builder, start) else { continue };
        if fill(builder, place, style).is_some() {
            add(builder, list, (function, place.1 - start.1));
        }
    }
}

/// The function that the author wrote, if a symbol is that of one that the kernel calls for it.
fn written(symbol: &[u8]) -> Option<String> {
    let path = rustc_demangle::try_demangle(std::str::from_utf8(symbol).ok()?).ok()?;
    let path = format!("{path:#}");
    path.rsplit("::").next()?.strip_prefix(CALLER_PREFIX).map(str::to_owned)
}

/// The list of places, and what stands at the first of them.
fn list(builder: &Builder<'_>) -> Option<(SectionId, Style)> {
    let list = builder.sections.iter().find(|section| *section.name == *PLACES)?.id();
    let first = relocations(builder, list)?.first()?;
    let symbol = builder.symbols.get(first.symbol?);
    let (section, offset) = (symbol.section?, symbol.st_value.checked_add_signed(first.r_addend)?);
    let start = code(builder, section)?.get(usize::try_from(offset).ok()?..)?;
    // A call has its relocation behind the first byte. objtool leaves it beside the no-op, as one of no effect.
    let is_operand = |relocation: &&Relocation| Some(relocation.r_offset) == offset.checked_add(1);
    let style = if start.starts_with(&NOP) {
        Style::Nop
    } else if start.starts_with(&CALL) {
        Style::Call(relocations(builder, section)?.iter().find(is_operand)?.symbol?)
    } else {
        return None;
    };
    Some((list, style))
}

/// The place of the room in a function, if it has one.
fn room(builder: &Builder<'_>, (section, start): Place) -> Option<Place> {
    let code = code(builder, section)?.get(usize::try_from(start).ok()?..)?;
    let before = if code.starts_with(&ENDBR64) { ENDBR64.len() } else { 0 };
    let is_room = code.get(before..before + NOP.len())?.starts_with(&ROOM);
    is_room.then_some((section, start + before as u64))
}

/// Puts into the room what the module has at other places; `None` if the section can have no relocations.
fn fill(builder: &mut Builder<'_>, (section, offset): Place, style: Style) -> Option<()> {
    let bytes = match style {
        Style::Call(symbol) => {
            let call = Relocation {
                r_offset: offset + 1,
                symbol: Some(symbol),
                r_type: R_X86_64_PLT32,
                r_addend: -4,
            };
            relocations_mut(builder, section)?.push(call);
            CALL
        }
        Style::Nop => NOP,
    };
    let SectionData::Data(code) = &mut builder.sections.get_mut(section).data else { return None };
    let room = code.to_mut().get_mut(usize::try_from(offset).ok()?..)?.first_chunk_mut()?;
    *room = bytes;
    Some(())
}

/// Adds a place to the list, by a function and the distance from its start.
fn add(builder: &mut Builder<'_>, list: SectionId, (function, distance): (SymbolId, u64)) {
    let SectionData::Data(places) = &mut builder.sections.get_mut(list).data else { return };
    let r_offset = places.len() as u64;
    places.to_mut().extend([0; 8]);
    if let Some(relocations) = relocations_mut(builder, list) {
        let (symbol, r_addend) = (Some(function), distance.cast_signed());
        relocations.push(Relocation { r_offset, symbol, r_type: R_X86_64_64, r_addend });
    }
}

/// The contents of a section.
fn code<'a>(builder: &'a Builder<'_>, section: SectionId) -> Option<&'a [u8]> {
    match &builder.sections.get(section).data {
        SectionData::Data(bytes) => Some(bytes),
        _ => None,
    }
}

/// The relocations that apply to a section.
fn relocations<'a>(builder: &'a Builder<'_>, of: SectionId) -> Option<&'a Vec<Relocation>> {
    builder.sections.iter().find_map(|section| match &section.data {
        SectionData::Relocation(relocations) if section.sh_info_section == Some(of) => Some(relocations),
        _ => None,
    })
}

fn relocations_mut<'a>(builder: &'a mut Builder<'_>, of: SectionId) -> Option<&'a mut Vec<Relocation>> {
    builder.sections.iter_mut().find_map(|section| match &mut section.data {
        SectionData::Relocation(relocations) if section.sh_info_section == Some(of) => Some(relocations),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use object::elf::R_X86_64_NONE;
    use object::write::{Object, Relocation as Written, StandardSegment, Symbol, SymbolSection};
    use object::{
        Architecture, BinaryFormat, Endianness, Object as _, ObjectSection as _, ObjectSymbol as _,
        RelocationFlags, RelocationTarget, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    };

    use super::*;

    /// `__klp_NAME` in a crate `a`, as rustc mangles it.
    fn mangled(name: &str) -> Vec<u8> {
        let name = format!("__klp_{name}");
        format!("_RNvC1a{}_{name}", name.len()).into_bytes()
    }

    /// A module whose code is a function of the glue, and a replacement; with the list of the glue's place.
    fn module(of_glue: &[u8], replacement: &[u8], name: &str) -> Vec<u8> {
        let mut file = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let text = file.add_section(Vec::new(), b".text".to_vec(), SectionKind::Text);
        let segment = file.segment_name(StandardSegment::Data).to_vec();
        let list = file.add_section(segment, PLACES.to_vec(), SectionKind::ReadOnlyData);
        let mut symbol = |name: &[u8], value, section| {
            file.add_symbol(Symbol {
                name: name.to_vec(),
                value,
                size: 8,
                kind: if section == SymbolSection::Undefined {
                    SymbolKind::Unknown
                } else {
                    SymbolKind::Text
                },
                scope: SymbolScope::Compilation,
                weak: false,
                section,
                flags: SymbolFlags::None,
            })
        };
        let glue = symbol(b"klp_glue_init", 0, SymbolSection::Section(text));
        symbol(&mangled(name), 16, SymbolSection::Section(text));
        let fentry = symbol(b"__fentry__", 0, SymbolSection::Undefined);
        file.append_section_data(text, of_glue, 16);
        file.append_section_data(text, replacement, 16);
        file.append_section_data(list, &[0; 8], 8);
        let mut relocate = |section, offset, symbol, r_type, addend| {
            let flags = RelocationFlags::Elf { r_type };
            file.add_relocation(section, Written { offset, symbol, addend, flags }).unwrap();
        };
        // objtool leaves one for the no-op, too.
        let r_type = if of_glue.starts_with(&CALL) { R_X86_64_PLT32 } else { R_X86_64_NONE };
        relocate(text, 1, fentry, r_type, -4);
        relocate(list, 0, glue, R_X86_64_64, 0);
        file.write().unwrap()
    }

    /// The module, made traceable: the names of its functions, its code, the number of relocations of the code, and the
    /// listed places with what they are relative to.
    type Traceable = (Vec<String>, Vec<u8>, usize, Vec<(String, i64)>);

    fn traceable(data: &[u8]) -> Traceable {
        let mut builder = Builder::read(data).unwrap();
        make_traceable(&mut builder, &["fifo_open"].into());
        let mut written = Vec::new();
        builder.write(&mut written).unwrap();
        let file = object::File::parse(&*written).unwrap();
        let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
        let names = functions.map(|symbol| symbol.name().unwrap().to_owned()).collect();
        let text = file.section_by_name(".text").unwrap();
        let list = file.section_by_name("__mcount_loc").unwrap();
        let places = list.relocations().map(|(_, relocation)| {
            let RelocationTarget::Symbol(symbol) = relocation.target() else { panic!() };
            let name = file.symbol_by_index(symbol).unwrap().name().unwrap();
            (name.to_owned(), relocation.addend())
        });
        let places: Vec<_> = places.collect();
        assert_eq!(list.size(), 8 * places.len() as u64);
        (names, text.data().unwrap()[16..].to_vec(), text.relocations().count(), places)
    }

    /// As LLVM makes it.
    const FUNCTION: [u8; 10] = [0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0x00, 0x08, 0xc3];
    const LISTED: &str = "klp_glue_init";

    #[test]
    fn a_replacement_has_what_the_glue_has() {
        for (of_glue, filled, relocations) in [(CALL, CALL, 2), (NOP, NOP, 1)] {
            let (names, code, count, places) = traceable(&module(&of_glue, &FUNCTION, "lp_show"));
            assert_eq!(names, [LISTED, "lp_show"]);
            assert_eq!(code, [&ENDBR64[..], &filled[..], &[0xc3]].concat());
            assert_eq!(count, relocations);
            assert_eq!(places, [(LISTED.into(), 0), ("lp_show".into(), 4)]);
        }
    }

    #[test]
    fn a_name_of_the_kernels_is_told_apart() {
        let (names, ..) = traceable(&module(&CALL, &FUNCTION, "fifo_open"));
        assert_eq!(names, [LISTED, "livepatch_fifo_open"]);
    }

    #[test]
    fn without_room_nothing_is_listed() {
        let (names, code, count, places) = traceable(&module(&CALL, &[0x50, 0x58, 0xc3], "lp_show"));
        assert_eq!(names, [LISTED, "lp_show"]);
        assert_eq!((&*code, count), (&[0x50, 0x58, 0xc3][..], 1));
        assert_eq!(places, [(LISTED.into(), 0)]);
    }

    /// What the kernel does with an unknown start is not known.
    #[test]
    fn a_start_of_another_kind_is_left_alone() {
        let (_, code, _, places) = traceable(&module(&[0x90; 5], &FUNCTION, "lp_show"));
        assert_eq!((&*code, places.len()), (&FUNCTION[..], 1));
    }
}
