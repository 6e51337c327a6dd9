//! Finds the places in the source of findings in machine code.
//!
//! A module is built without debug information. Only if something must be reported is the crate compiled once
//! more, with line numbers.

use std::cell::OnceCell;

use object::elf::RelocationType;
use object::{Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget};

use super::compile::{Product, compile};
use super::workspace::Crate;
use crate::host::report::Silent;
use crate::kernel::Target;
use crate::kernel::debug_info::Lines;
use crate::patch::inspect::name_in_source;

/// The places in a patch's source.
pub(super) struct Places<'a> {
    krate: &'a Crate,
    target: &'a Target,
    rustflags: &'a [String],
    members: OnceCell<Vec<Vec<u8>>>,
}

impl<'a> Places<'a> {
    /// The places of a crate that was compiled for this target with these flags.
    pub(super) fn new(krate: &'a Crate, target: &'a Target, rustflags: &'a [String]) -> Self {
        Self { krate, target, rustflags, members: OnceCell::new() }
    }

    /// The place of a function, `file:line`; `None` if it can't be found.
    pub(super) fn of_function(&self, symbol: &str) -> Option<String> {
        self.find(|lines| {
            // Its hash differs when there is debug information.
            let name = name_in_source(symbol);
            let is_it = |other: &object::Symbol<'_, '_>| {
                other.is_definition() && other.name().is_ok_and(|other| name_in_source(other) == name)
            };
            let symbol = lines.file().symbols().find(is_it)?;
            lines.place(symbol.section_index()?, symbol.address())
        })
    }

    /// The place of the first use of a symbol that the crate does not define.
    pub(super) fn of_use(&self, symbol: &str) -> Option<String> {
        self.find(|lines| {
            let symbol = lines.file().symbol_by_name(symbol)?.index();
            let is_it = |target| target == RelocationTarget::Symbol(symbol);
            lines.file().sections().find_map(|section| {
                let (at, _) = section.relocations().find(|(_, relocation)| is_it(relocation.target()))?;
                lines.place(section.index(), at)
            })
        })
    }

    /// Where a relocation of a kind and symbol is used first; in assembly of its own it has no line, and the place
    /// is that of the function.
    pub(super) fn of_relocation(&self, kind: RelocationType, symbol: &str) -> Option<String> {
        self.find(|lines| {
            // Its hash is another one where there is debug information.
            let name = name_in_source(symbol);
            let is_name = |target| match target {
                RelocationTarget::Symbol(index) => lines
                    .file()
                    .symbol_by_index(index)
                    .is_ok_and(|symbol| symbol.name().is_ok_and(|other| name_in_source(other) == name)),
                _ => false,
            };
            lines.file().sections().find_map(|section| {
                let (at, _) = section.relocations().find(|(_, relocation)| {
                    relocation.flags() == RelocationFlags::Elf { r_type: kind }
                        && is_name(relocation.target())
                })?;
                lines.place(section.index(), at)
            })
        })
    }

    fn find(&self, find: impl Fn(&Lines<'_>) -> Option<String>) -> Option<String> {
        let compiled = || {
            compile(self.krate, self.target, self.rustflags, &Product::LINES, &Silent)
                .and_then(|library| library.members())
                .unwrap_or_default()
        };
        self.members.get_or_init(compiled).iter().find_map(|member| find(&Lines::read(member).ok()?))
    }
}
