//! What a fix changes in the object of a unit.

use std::collections::{BTreeMap, BTreeSet};

use super::object::{Compiled, Definition, stem};

/// Variables that the kernel's macros make for one place of the source each: a patch has its own.
const OF_PLACES: [&str; 9] = [
    "__already_done",
    "__warned",
    "___done",
    "__print_once",
    "_rs",
    "descriptor",
    "__key",
    "_entry",
    "__UNIQUE_ID_",
];

/// The difference of two objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The functions that the first has and the second has otherwise, by the names that they have in the first.
    pub functions: BTreeSet<String>,
    /// The variables and constants that differ.
    pub data: BTreeSet<String>,
}

/// Compares the object of the original with that of the fixed source.
pub fn compare(before: &Compiled, after: &Compiled) -> Difference {
    let mut difference = Difference::default();
    let (old, new) = (by_stem(before), by_stem(after));
    for (name, old) in &old {
        // What is gone was used by something that is different now.
        let Some(new) = new.get(name) else { continue };
        if contents(old) == contents(new) {
            continue;
        }
        match old[0].is_code {
            true => difference.functions.extend(old.iter().map(|definition| {
                definition.name.strip_suffix(".cold").unwrap_or(&definition.name).to_owned()
            })),
            false if is_of_a_place(name) => {}
            false => {
                difference.data.insert((*name).to_owned());
            }
        }
    }
    difference
}

/// Whether data belongs to one place of the source, and a copy of the code has its own.
pub fn is_of_a_place(name: &str) -> bool {
    OF_PLACES.iter().any(|start| name == *start || start.ends_with('_') && name.starts_with(start))
}

/// The functions to replace for those that differ: what has no entry of its own for livepatch is a part of others,
/// and these are replaced.
///
/// # Errors
///
/// A function that nothing of the unit calls, so that there is nothing to replace instead; one that others than the
/// unit's functions can call as well.
pub fn replaceable(
    before: &Compiled,
    changed: &BTreeSet<String>,
    obstacle: impl Fn(&str) -> Option<String>,
) -> Result<BTreeSet<String>, Vec<(String, String)>> {
    let (mut replaced, mut faults) = (BTreeSet::new(), Vec::new());
    let (mut seen, mut next): (BTreeSet<String>, Vec<String>) =
        (changed.clone(), changed.iter().cloned().collect());
    while let Some(name) = next.pop() {
        let Some(obstacle) = obstacle(&name) else {
            replaced.insert(name);
            continue;
        };
        let own = stem(&name);
        if let Some(user) = users_besides(before, &name) {
            faults.push((name, format!("{obstacle}, but {user}")));
            continue;
        }
        let callers: Vec<&str> = (before.definitions.iter())
            .filter(|other| other.is_code && other.stem() != own && other.refers.contains(own))
            .map(|other| other.name.strip_suffix(".cold").unwrap_or(&other.name))
            .collect();
        if callers.is_empty() {
            faults.push((name, obstacle));
            continue;
        }
        next.extend(
            callers
                .iter()
                .filter(|caller| seen.insert((**caller).to_owned()))
                .map(|caller| (*caller).to_owned()),
        );
    }
    if faults.is_empty() { Ok(replaced) } else { Err(faults) }
}

/// Who can call a function besides those that refer to it in the unit's code.
pub fn users_besides(before: &Compiled, name: &str) -> Option<String> {
    if before.named(name).is_some_and(|definition| definition.is_global) {
        return Some("other files may call it as well".into());
    }
    let holder = before.definitions.iter().find(|other| !other.is_code && other.refers.contains(stem(name)));
    holder.map(|holder| format!("`{}` has its address", holder.name))
}

fn by_stem(object: &Compiled) -> BTreeMap<&str, Vec<&Definition>> {
    let mut all: BTreeMap<&str, Vec<&Definition>> = BTreeMap::new();
    for definition in &object.definitions {
        all.entry(definition.stem()).or_default().push(definition);
    }
    all
}

/// What definitions of one name consist of, in no order.
fn contents<'a>(definitions: &[&'a Definition]) -> Vec<&'a [String]> {
    let mut all: Vec<&[String]> = definitions.iter().map(|definition| &*definition.content).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, content: &str, refers: &[&str]) -> Definition {
        Definition {
            name: name.into(),
            section: ".text".into(),
            offset: 0,
            size: 1,
            is_code: true,
            is_writable: false,
            is_weak: false,
            is_global: false,
            content: vec![content.into()],
            refers: refers.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn object(definitions: Vec<Definition>) -> Compiled {
        Compiled { definitions, undefined: BTreeSet::new(), patched_early: BTreeSet::new() }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_differs_is_told_from_what_is_only_called_otherwise() {
        let data = |name: &str, content: &str| Definition { is_code: false, ..function(name, content, &[]) };
        let before = object(vec![
            function("same", "a", &[]),
            function("rare", "a", &[]),
            function("rare.cold", "b", &[]),
            function("gone", "a", &[]),
            data("table", "1"),
            data("__warned.1", "x"),
            data("count.3", "0"),
        ]);
        let after = object(vec![
            function("same", "a", &[]),
            function("rare", "a", &[]),
            function("rare.cold", "c", &[]),
            function("new", "a", &[]),
            data("table", "2"),
            data("__warned.7", "y"),
            data("count.9", "0"),
        ]);
        let expected = Difference { functions: names(&["rare"]), data: names(&["table"]) };
        assert_eq!(compare(&before, &after), expected);
    }

    #[test]
    fn callers_stand_in_for_what_has_no_entry() {
        let before = object(vec![
            function("part.isra.0", "a", &[]),
            function("middle", "a", &["part.isra"]),
            function("outer", "a", &["middle"]),
            function("alone.part.0", "a", &[]),
        ]);
        let obstacle = |name: &str| {
            (name.contains('.') || name == "middle").then(|| "it has no ftrace entry".to_owned())
        };
        assert_eq!(replaceable(&before, &names(&["part.isra.0"]), obstacle).unwrap(), names(&["outer"]));
        let faults = replaceable(&before, &names(&["alone.part.0", "outer"]), obstacle).unwrap_err();
        assert_eq!(faults, [("alone.part.0".to_owned(), "it has no ftrace entry".to_owned())]);
    }

    /// Its callers in the unit would have the fix, and the others not.
    #[test]
    fn what_others_call_as_well_has_no_stand_in() {
        let table = Definition { is_code: false, ..function("ops", "a", &["held"]) };
        let global = Definition { is_global: true, ..function("offered", "a", &[]) };
        let before = object(vec![
            table,
            global,
            function("held", "a", &[]),
            function("user", "a", &["held", "offered"]),
        ]);
        let obstacle = |name: &str| (name != "user").then(|| "it has no ftrace entry".to_owned());
        for (name, why) in [("held", "`ops` has its address"), ("offered", "other files may call it as well")]
        {
            let faults = replaceable(&before, &names(&[name]), obstacle).unwrap_err();
            assert_eq!(faults, [(name.to_owned(), format!("it has no ftrace entry, but {why}"))]);
        }
    }
}
