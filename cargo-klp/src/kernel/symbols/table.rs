//! The symbols of vmlinux as a text that is sorted by name, so that a name is found without reading all of them.
//!
//! A line for each symbol, sorted by name and position: `name kind position address is_init` and its number in the
//! kernel's table.

use std::collections::HashMap;
use std::path::Path;

use super::Symbol;
use super::kallsyms::Entry;
use crate::error::Result;
use crate::host::sorted;

/// The text.
#[derive(Debug)]
pub struct Table(String);

impl Table {
    /// Of the kernel's own table. Names that no compiler makes are left out.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let address = |name| entries.iter().find(|entry| entry.name == name).map(|entry| entry.address);
        let init = address("__init_begin").zip(address("__init_end"));
        let is_init = |at: u64| init.is_some_and(|(start, end)| (start..end).contains(&at));
        // `.data` of newer images is executable to the linker, so kallsyms gives its variables the letters of code.
        let data = address("_sdata").zip(address("_edata"));
        let is_data = |at: u64| data.is_some_and(|(start, end)| (start..end).contains(&at));
        let kind_of = |kind, at| match kind {
            't' if is_data(at) => 'd',
            'T' if is_data(at) => 'D',
            'w' if is_data(at) => 'v',
            'W' if is_data(at) => 'V',
            kind => kind,
        };
        let mut positions = HashMap::new();
        let words = entries.iter().enumerate().filter(|(_, entry)| sorted::is_word(&entry.name));
        let mut lines: Vec<_> = words
            .map(|(number, Entry { name, kind, address })| {
                let position = positions.entry(name).or_insert(0u64);
                *position += 1;
                (name, *position, kind_of(*kind, *address), *address, number)
            })
            .collect();
        lines.sort();
        let line = |(name, position, kind, address, number): (&String, u64, char, u64, usize)| {
            let is_init = u8::from(is_init(address));
            format!("{name} {kind} {position} {address:x} {is_init} {number}\n")
        };
        Self(lines.into_iter().map(line).collect())
    }

    /// Of a file with the text.
    ///
    /// # Errors
    ///
    /// The file can't be read, or is damaged.
    pub fn read(file: &Path) -> Result<Self> {
        sorted::read(file).map(Self)
    }

    /// Of the text itself.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// All symbols, in the order of the kernel's table: that of addresses.
    #[must_use]
    pub fn all(&self) -> Vec<Symbol> {
        let number = |line: &str| line.rsplit(' ').next()?.parse::<u32>().ok();
        let mut symbols: Vec<_> =
            self.0.lines().filter_map(|line| Some((number(line)?, symbol(line)?))).collect();
        symbols.sort_unstable_by_key(|(number, _)| *number);
        symbols.into_iter().map(|(_, symbol)| symbol).collect()
    }

    /// The symbols whose names start so and are wanted, sorted by name.
    #[must_use]
    pub fn starting_with(&self, start: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<Symbol> {
        let lines = sorted::starting_with(&self.0, start);
        lines.filter_map(symbol).filter(|symbol| is_wanted(&symbol.name)).collect()
    }

    /// All addresses, sorted.
    #[must_use]
    pub fn addresses(&self) -> Vec<u64> {
        let mut addresses: Vec<_> = self.0.lines().filter_map(symbol).map(|symbol| symbol.address).collect();
        addresses.sort_unstable();
        addresses
    }
}

/// The symbol of a line.
fn symbol(line: &str) -> Option<Symbol> {
    let mut fields = line.split(' ');
    Some(Symbol {
        name: fields.next()?.into(),
        kind: fields.next()?.chars().next()?,
        section: None,
        position: fields.next()?.parse().ok()?,
        address: u64::from_str_radix(fields.next()?, 16).ok()?,
        is_init: fields.next()? == "1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(symbols: &[(&str, char, u64)]) -> Table {
        let entry =
            |&(name, kind, address): &(&str, _, _)| Entry { name: str::to_owned(name), kind, address };
        Table::of(&symbols.iter().map(entry).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_found() {
        let table = table(&[
            ("first", 't', 1),
            ("b", 'T', 2),
            ("first", 't', 3),
            ("first.cold", 't', 4),
            ("__init_begin", 'T', 5),
            ("a", 'd', 6),
            ("__init_end", 'T', 7),
            ("zz", 'd', 8),
            ("same", 'd', 8),
        ]);
        let named = |name: &str| {
            let found = table.starting_with(name, |found| found == name);
            found.iter().map(|symbol| (symbol.position, symbol.address)).collect::<Vec<_>>()
        };
        assert_eq!(named("first"), [(1, 1), (2, 3)]);
        assert_eq!(named("a"), [(1, 6)]);
        assert_eq!(named("zz"), [(1, 8)]);
        for absent in ["", "0", "firs", "first.", "zzz"] {
            assert_eq!(named(absent), [], "{absent}");
        }
        assert_eq!(table.starting_with("first", |_| true).len(), 3);
        assert!(table.starting_with("a", |_| true)[0].is_init);
        assert!(!table.starting_with("zz", |_| true)[0].is_init);
        let addresses: Vec<_> = table.all().iter().map(|symbol| symbol.address).collect();
        assert_eq!(addresses, [1, 2, 3, 4, 5, 6, 7, 8, 8]);
        assert_eq!(table.all()[8].name, "same");
    }

    #[test]
    fn variables_are_known_by_their_addresses() {
        let table = table(&[
            ("code", 't', 1),
            ("_sdata", 'T', 4),
            ("own", 't', 5),
            ("global", 'T', 6),
            ("weak", 'W', 7),
            ("_edata", 'T', 8),
            ("after", 't', 9),
        ]);
        let kinds: String = table.all().iter().map(|symbol| symbol.kind).collect();
        assert_eq!(kinds, "tDdDVTt");
    }

    /// A symbol of the image may be called anything: no line is taken for another.
    #[test]
    fn names_that_no_compiler_makes_are_left_out() {
        let table = table(&[("a b", 't', 1), ("", 't', 2), ("c\n", 't', 3), ("d\r", 't', 4), ("e", 't', 5)]);
        assert_eq!(table.all().len(), 1);
        assert_eq!(table.starting_with("e", |_| true)[0].address, 5);
    }
}
