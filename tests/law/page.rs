//! The page, taken apart.

use std::fmt;
use std::fs;

use crate::root;

/// A rule (S4) or a scenario (L7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// `S` or `L`.
    kind: char,
    number: u32,
}

impl Id {
    /// The one that is written so: `S4`.
    pub fn parse(text: &str) -> Option<Self> {
        let kind = text.chars().next().filter(|kind| ['S', 'L'].contains(kind))?;
        let digits = &text[1..];
        let is_number = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_number { digits.parse().ok()? } else { return None };
        Some(Self { kind, number })
    }

    /// Those that a test's name starts with: S4 and S5 of `s4_s5_order_of_several_states`.
    pub fn at_the_start_of(test: &str) -> Vec<Self> {
        test.split('_').map_while(|word| Self::parse(&word.to_uppercase())).collect()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.kind, self.number)
    }
}

/// What the table of tests says of one side.
pub enum Cell {
    /// Nothing shows it yet.
    Open,
    /// These tests do.
    Tests(Vec<String>),
}

/// A row of the table of tests.
pub struct Row {
    pub id: Id,
    pub model: Cell,
    pub kernel: Cell,
}

/// `docs/lifecycle.md`.
pub struct Page {
    /// The rules and scenarios that have an anchor, in its order.
    pub anchors: Vec<Id>,
    /// The table of tests.
    pub rows: Vec<Row>,
}

impl Page {
    /// The one of the repository.
    pub fn read() -> Self {
        let text = fs::read_to_string(root().join("docs/lifecycle.md")).expect("the page can be read");
        let anchors = text.split("<a id=\"").skip(1).filter_map(|rest| {
            let (anchor, _) = rest.split_once('"').expect("the attribute ends");
            Id::parse(&anchor.to_uppercase())
        });
        let (_, table) = text.split_once("## Which tests show what").expect("the page has the table");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| [")).map(row);
        Self { anchors: anchors.collect(), rows: rows.collect() }
    }
}

/// The row of a line without its start, `S4](#s4) | … | … |`.
fn row(line: &str) -> Row {
    let mut cells = line.trim_end_matches(" |").split(" | ");
    let mut next = || cells.next().unwrap_or_else(|| panic!("a cell is missing: {line}"));
    let (name, target) = next().split_once("](#").expect("the first cell is a link");
    let id = Id::parse(name).unwrap_or_else(|| panic!("{name} is neither a rule nor a scenario"));
    assert_eq!(target, format!("{})", name.to_lowercase()), "{name} links to another anchor");
    Row { id, model: cell(id, next()), kernel: cell(id, next()) }
}

fn cell(id: Id, text: &str) -> Cell {
    if text == "**open**" {
        return Cell::Open;
    }
    let test = |name: &str| {
        let test = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
        test.unwrap_or_else(|| panic!("{id}: expected the name of a test or **open**, found {name}"))
            .to_owned()
    };
    Cell::Tests(text.split(", ").map(test).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_in_names_of_tests() {
        let of = |test| Id::at_the_start_of(test).iter().map(Id::to_string).collect::<Vec<_>>();
        assert_eq!(of("s4_s5_order_of_several_states"), ["S4", "S5"]);
        assert_eq!(of("l7_replace_removes"), ["L7"]);
        assert!(of("symmetry_s11").is_empty());
        assert!(of("l_1").is_empty());
    }
}
