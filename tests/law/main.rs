//! Holds `docs/lifecycle.md` against the tests: each rule and scenario names those that show it, and they exist.
//! And holds the crates' documentation against the page: what it cites is there, and the citation is a link.

mod citations;
mod page;
mod sources;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use page::{Cell, Id, Page};

/// The top of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What is wrong, one line each; fails if there is anything.
#[track_caller]
fn assert_none(wrong: &[String], advice: &str) {
    assert!(wrong.is_empty(), "{advice}\n{}", wrong.join("\n"));
}

#[test]
fn every_rule_and_scenario_has_a_row() {
    let page = Page::read();
    let list = |ids: &mut dyn Iterator<Item = Id>| ids.map(|id| id.to_string()).collect::<Vec<_>>().join(" ");
    let (rows, anchors) =
        (list(&mut page.rows.iter().map(|row| row.id)), list(&mut page.anchors.iter().copied()));
    assert_eq!(rows, anchors, "the rows of the table of tests, and the anchors of the page");
}

/// A test whose name starts with the rules or scenarios that it shows (`s4_s5_…`) stands in each of their rows.
#[test]
fn the_table_of_tests_is_true() {
    let page = Page::read();
    let sides = [("in the model", sources::model_tests()), ("on the kernel", sources::kernel_tests())];
    let mut wrong = Vec::new();
    for row in &page.rows {
        for (cell, (side, tests)) in [&row.model, &row.kernel].into_iter().zip(&sides) {
            let shown_by = tests.iter().filter(|test| Id::at_the_start_of(test).contains(&row.id));
            let named: BTreeSet<&String> = match cell {
                Cell::Open => BTreeSet::new(),
                Cell::Tests(named) => named.iter().collect(),
            };
            let missing = named.iter().filter(|test| !tests.contains(**test));
            wrong.extend(missing.map(|test| format!("{}: there is no test `{test}` {side}", row.id)));
            wrong.extend(shown_by.filter(|test| !named.contains(test)).map(|test| match cell {
                Cell::Open => format!("{}: it is open {side}, but `{test}` shows it", row.id),
                Cell::Tests(_) => format!("{}: `{test}` {side} is not named", row.id),
            }));
        }
    }
    assert_none(&wrong, "mend the table `Which tests show what` of docs/lifecycle.md:");
}

#[test]
fn citations_are_links() {
    let anchors = Page::read().anchors;
    let anchor = |id: Id| id.to_string().to_lowercase();
    let mut wrong =
        citations::wrong("klp-runtime/src", &anchors, |id| format!("crate::lifecycle#{}", anchor(id)));
    wrong.extend(citations::wrong("klp-macros/src", &anchors, |id| {
        format!("../klp_runtime/lifecycle/index.html#{}", anchor(id))
    }));
    assert_none(&wrong, "docs/lifecycle.md says how a rule is cited:");
}
