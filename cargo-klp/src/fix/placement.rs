//! Where the kernel has what a unit defines. The unit is compiled as the kernel's was: if compiler and source are the
//! same, all its functions stand in the kernel at the same distances from each other. That proves the source right, and
//! tells symbols of the same name apart.

use std::collections::{BTreeMap, BTreeSet};

use super::object::{Compiled, Definition};
use crate::kernel::symbols::{Object, Symbol};

/// So many functions that differ are named.
const MOST_SHOWN: usize = 5;

/// The symbols of a unit in the kernel.
#[derive(Debug)]
pub struct Placement {
    symbols: BTreeMap<String, (Symbol, u64)>,
    overridden: BTreeSet<String>,
}

impl Placement {
    /// Finds a unit in the object of the kernel that it is a part of.
    ///
    /// # Errors
    ///
    /// The functions that the kernel does not have, or has otherwise.
    pub fn of(unit: &Compiled, object: &Object<'_>) -> Result<Self, String> {
        let (mut symbols, mut overridden) = (BTreeMap::new(), BTreeSet::new());
        let mut wrong: Vec<&str> = Vec::new();
        let mut sections: BTreeMap<&str, Vec<&Definition>> = BTreeMap::new();
        for definition in &unit.definitions {
            sections.entry(&definition.section).or_default().push(definition);
        }
        for (section, definitions) in sections {
            let named: Vec<Vec<Symbol>> =
                definitions.iter().map(|definition| object.named(&definition.name)).collect();
            // Where the section would begin by each symbol that may be the one.
            let first = || {
                definitions.iter().zip(&named).min_by_key(|(_, found)| match found.len() {
                    0 => usize::MAX,
                    count => count,
                })
            };
            let bases = first().into_iter().flat_map(|(definition, found)| {
                found.iter().map(|symbol| (symbol.section, symbol.address.wrapping_sub(definition.offset)))
            });
            let place = |base: (Option<usize>, u64), definition: &Definition, found: &[Symbol]| {
                let address = base.1.wrapping_add(definition.offset);
                found.iter().find(|symbol| (symbol.section, symbol.address) == (base.0, address)).cloned()
            };
            let best = bases
                .map(|base| {
                    let placed = definitions.iter().zip(&named);
                    placed.map(|(definition, found)| place(base, definition, found)).collect::<Vec<_>>()
                })
                .max_by_key(|placed| placed.iter().flatten().count())
                .unwrap_or_else(|| vec![None; definitions.len()]);
            let must_be_there = section.starts_with(".text");
            for ((definition, symbol), found) in definitions.iter().zip(best).zip(named) {
                match symbol {
                    Some(symbol) => {
                        symbols.insert(definition.name.clone(), (symbol, definition.size));
                    }
                    // The linker has taken another object's definition.
                    None if definition.is_weak && found.len() == 1 => {
                        overridden.insert(definition.name.clone());
                        symbols.insert(definition.name.clone(), (found[0].clone(), definition.size));
                    }
                    None if must_be_there && definition.is_code => wrong.push(&definition.name),
                    // Linkers place data as they like.
                    None => {
                        if let [symbol] = &*found {
                            symbols.insert(definition.name.clone(), (symbol.clone(), definition.size));
                        }
                    }
                }
            }
        }
        if wrong.is_empty() {
            return Ok(Self { symbols, overridden });
        }
        let functions = unit.definitions.iter().filter(|definition| definition.is_code).count();
        let (shown, more) = wrong.split_at(wrong.len().min(MOST_SHOWN));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        Err(format!(
            "{} of its {functions} functions differ from those of {}: {}{more}",
            wrong.len(),
            object.name,
            shown.join(", ")
        ))
    }

    /// The symbol of a function or variable of the unit.
    pub fn symbol(&self, name: &str) -> Option<&Symbol> {
        self.symbols.get(name).map(|(symbol, _)| symbol)
    }

    /// Whether the kernel has another definition in place of the unit's, which is weak.
    pub fn is_overridden(&self, name: &str) -> bool {
        self.overridden.contains(name)
    }

    /// The size of a function or variable that has a symbol.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.symbols.get(name).map(|(_, size)| *size)
    }
}
