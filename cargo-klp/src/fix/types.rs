//! Types whose definition a fix changes: objects of the old layout live on when the patch is loaded.

use std::collections::BTreeMap;

use super::c::{Item, Kind};

/// A type that is defined otherwise now.
#[derive(Debug, PartialEq, Eq)]
pub struct ChangedType<'a> {
    /// Its tag or name.
    pub name: &'a str,
    /// The file that defines it.
    pub file: &'a str,
    /// The first and the last line there.
    pub lines: (usize, usize),
}

/// The types that both have, and that have other members or values in the second.
pub fn changed<'a>(before: &[Item<'_>], after: &[Item<'a>]) -> Vec<ChangedType<'a>> {
    let old: BTreeMap<&str, String> =
        definitions(before).map(|(name, item)| (name, definition(item))).collect();
    let is_changed = |(name, item): &(&str, &Item<'_>)| {
        let Some(old) = old.get(name) else { return false };
        let new = definition(item);
        // More enumerators behind those that were there do no harm.
        let is_longer =
            old.starts_with("enum ") && new.starts_with(old.trim_end_matches([' ', ';', '}', ',']));
        *old != new && !is_longer
    };
    let place = |(name, item): (&'a str, &Item<'a>)| {
        let (first, last) = (item.tokens[0], item.tokens[item.tokens.len() - 1]);
        ChangedType { name, file: first.file, lines: (first.line, last.line) }
    };
    definitions(after).filter(is_changed).map(place).collect()
}

fn definitions<'a, 'b: 'a>(items: &'a [Item<'b>]) -> impl Iterator<Item = (&'b str, &'a Item<'b>)> {
    items
        .iter()
        .filter(|item| item.kind != Kind::Function)
        .filter_map(|item| Some((*item.tags.first()?, item)))
}

/// What defines the type, without what else is declared with it.
fn definition(item: &Item<'_>) -> String {
    let value = item.tokens.iter().position(|token| token.text == "=");
    let is_enum = item.tokens.iter().any(|token| token.text == "enum");
    let end = value.filter(|_| item.kind == Kind::Variable && !is_enum).unwrap_or(item.tokens.len());
    item.tokens[..end].iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::c::{items, tokens};
    use super::*;

    #[test]
    fn changed_types_are_told_from_new_ones_and_new_values() {
        let before = tokens(
            "# 1 \"a.h\"\nstruct same { int a; };\nstruct s { int a; };\nenum e { A, B };\nenum f { C, D };\nint f(void) { \
             struct local { int a; } x; }\n",
        );
        let after = tokens(
            "# 1 \"a.h\"\nstruct same { int a; };\n\nstruct s { int a;\nint b; };\nenum e { A, B, N };\nenum f { D, C };\n\
             struct new { int a; };\nint f(void) { struct local { int a, b; } x; }\n",
        );
        let found: Vec<_> = changed(&items(&before), &items(&after))
            .into_iter()
            .map(|changed| (changed.name, changed.file, changed.lines))
            .collect();
        assert_eq!(found, [("s", "a.h", (3, 4)), ("f", "a.h", (6, 6))]);
    }
}
