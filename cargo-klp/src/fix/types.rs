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

/// The types that both have, and that have other members or values in the second; and the variables that have another
/// type there.
pub fn changed<'a>(
    before: &[Item<'_>],
    after: &[Item<'a>],
    is_variable: &dyn Fn(&str) -> bool,
) -> Vec<ChangedType<'a>> {
    // A name may stand for several, in different scopes.
    let mut old: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, item) in definitions(before, is_variable) {
        old.entry(name).or_default().push(definition(item));
    }
    let is_changed = |(name, item): &(&str, &Item<'_>)| {
        let Some(old) = old.get(name) else { return false };
        let new = definition(item);
        // More enumerators behind those that were there do no harm.
        let is_longer = |old: &String| {
            old.starts_with("enum ") && new.starts_with(old.trim_end_matches([' ', ';', '}', ',']))
        };
        !old.iter().any(|old| *old == new || is_longer(old))
    };
    let place = |(name, item): (&'a str, &Item<'a>)| {
        let (first, last) = (item.tokens[0], item.tokens[item.tokens.len() - 1]);
        ChangedType { name, file: first.file, lines: (first.line, last.line) }
    };
    definitions(after, is_variable).filter(is_changed).map(place).collect()
}

/// What defines types or variables, by the tag of the type, or the name of what has none.
fn definitions<'a, 'b: 'a>(
    items: &'a [Item<'b>],
    is_variable: &'a dyn Fn(&str) -> bool,
) -> impl Iterator<Item = (&'b str, &'a Item<'b>)> {
    let name = |item: &Item<'b>| match item.kind {
        Kind::Function | Kind::Prototype => None,
        Kind::Variable => item
            .tags
            .first()
            .or_else(|| item.names.first().filter(|name| is_variable(name) && !item.has("extern")))
            .copied(),
        Kind::Other => {
            let is_typedef = item.tokens.iter().any(|token| token.text == "{");
            item.tags.first().or_else(|| item.names.first().filter(|_| is_typedef)).copied()
        }
    };
    items.iter().filter_map(move |item| Some((name(item)?, item)))
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
        let found: Vec<_> = changed(&items(&before), &items(&after), &|_| false)
            .into_iter()
            .map(|changed| (changed.name, changed.file, changed.lines))
            .collect();
        assert_eq!(found, [("s", "a.h", (3, 4)), ("f", "a.h", (6, 6))]);
    }

    #[test]
    fn types_without_a_tag_and_those_of_variables_count() {
        let before = tokens(
            "# 1 \"a.c\"\ntypedef struct { int a; } t;\nstatic struct { int a; } v;\nstatic int count = 1;\n\
             static int same = 1;\nextern int far;\n",
        );
        let after = tokens(
            "# 1 \"a.c\"\ntypedef struct { long a; } t;\nstatic struct { int a, b; } v;\nstatic long count = 2;\n\
             static int same = 2;\nextern long far;\n",
        );
        let (before, after) = (items(&before), items(&after));
        let found: Vec<&str> =
            changed(&before, &after, &|_| true).into_iter().map(|changed| changed.name).collect();
        assert_eq!(found, ["t", "v", "count"]);
    }
}
