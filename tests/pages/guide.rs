//! The guide is a book that mdBook makes, whose links lead somewhere, and whose code is compiled.
//!
//! The pages that the test makes are in `target/guide`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use klp_page_tests::{blocks, pages, root};
use mdbook_driver::MDBook;

/// Where a page may include code from: what the tests compile and load, and the rules.
const INCLUDED: &[&str] = &["examples/", "tests/patches/", "tests/model/", "docs/lifecycle.md"];

/// The guide's own pages.
fn guide() -> PathBuf {
    root().join("docs/guide")
}

/// A page that mdBook has made.
#[derive(Debug, Default)]
struct Page {
    /// What a link may lead to: `id="…"`.
    anchors: BTreeSet<String>,
    /// Where its links lead: `href="…"`.
    links: BTreeSet<String>,
}

#[test]
fn links_lead_somewhere() {
    let book = MDBook::load(guide()).unwrap();
    book.build().unwrap();
    let made = book.build_dir_for("html");
    let mut pages = BTreeMap::new();
    for chapter in book.book.chapters() {
        let source = chapter.path.as_ref().expect("each chapter has a page");
        let name = if source.ends_with("README.md") { "index.md".into() } else { source.clone() };
        let path = name.with_extension("html");
        let text = fs::read_to_string(made.join(&path)).unwrap();
        // mdBook leaves an include that fails as it is.
        assert!(!text.contains("{{#"), "{} includes what is not there", source.display());
        let page = Page { anchors: values(&text, "id"), links: values(&text, "href") };
        pages.insert(path, page);
    }

    let mut wrong = Vec::new();
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !link.contains(':')) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { path.clone() } else { beside(path, file) };
            let leads = match pages.get(&file) {
                Some(target) => anchor.is_empty() || target.anchors.contains(anchor),
                None => anchor.is_empty() && made.join(&file).is_file(),
            };
            if !leads {
                wrong.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

/// Markdown that means nothing to mdBook stands on the page as it was written: a table after a line of text, a link over
/// two blocks, a fence without its end. Nobody sees that in the source.
#[test]
fn nothing_is_left_of_the_markdown() {
    let book = MDBook::load(guide()).unwrap();
    let made = tempfile::tempdir().unwrap();
    let book = MDBook::load_with_config(guide(), {
        let mut config = book.config;
        config.build.build_dir = made.path().to_owned();
        config
    })
    .unwrap();
    book.build().unwrap();
    let mut wrong = Vec::new();
    for chapter in book.book.chapters() {
        let source = chapter.path.as_ref().expect("each chapter has a page");
        let text = fs::read_to_string(made.path().join(source.with_extension("html"))).unwrap();
        let (_, main) = text.split_once("<main>").unwrap();
        let (main, _) = main.split_once("</main>").unwrap();
        // Its button sends the code to a server that has neither the kernel nor klp.
        if main.contains("class=\"playground\"") {
            wrong.push(format!("{}: code has a button to run it", source.display()));
        }
        let prose = without(&without(main, "pre"), "code");
        let marks = ["`", "**", "](", "| ", "{{#", "```"];
        wrong.extend(
            prose
                .lines()
                .filter(|line| marks.iter().any(|mark| line.contains(mark)))
                .map(|line| format!("{}: {}", source.display(), line.trim())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A page without the elements of a name.
fn without(text: &str, element: &str) -> String {
    let (start, end) = (format!("<{element}"), format!("</{element}>"));
    let mut parts = text.split(&end);
    let mut rest = String::new();
    for part in &mut parts {
        rest.push_str(part.split_once(&start).map_or(part, |(before, _)| before));
    }
    rest
}

/// The values of an attribute in a page.
fn values(text: &str, attribute: &str) -> BTreeSet<String> {
    let start = format!(" {attribute}=\"");
    let values = text.split(&start).skip(1).filter_map(|rest| rest.split_once('"'));
    values.map(|(value, _)| value.to_owned()).collect()
}

/// The path of a file that a page names relative to itself.
fn beside(page: &Path, file: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for component in Path::new(file).components() {
        match component {
            Component::ParentDir => drop(path.pop()),
            other => path.push(other),
        }
    }
    path
}

/// Each page of the guide is a chapter: a page that nobody links is not read.
#[test]
fn every_page_is_a_chapter() {
    let book = MDBook::load(guide()).unwrap();
    let chapters: BTreeSet<_> =
        book.book.chapters().filter_map(|chapter| chapter.source_path.clone()).collect();
    let source = book.source_dir();
    let pages = pages().into_iter().filter_map(|page| Some(page.strip_prefix(&source).ok()?.to_owned()));
    let missing: Vec<_> =
        pages.filter(|page| !page.ends_with("SUMMARY.md") && !chapters.contains(page)).collect();
    assert!(missing.is_empty(), "pages that SUMMARY.md lacks: {missing:?}");
}

/// C is never compiled from a page, and what is included is compiled in its own place.
#[test]
fn code_is_compiled_where_it_stands() {
    let source = guide().join("src");
    let mut wrong = Vec::new();
    for page in pages().into_iter().filter(|page| page.starts_with(&source)) {
        let name = page.strip_prefix(&source).unwrap().to_owned();
        for block in blocks(&page) {
            let first = block.code.lines().next().unwrap_or_default();
            if let Some(file) = first.strip_prefix("{{#include ") {
                let (file, anchor) = match file.trim_end_matches("}}").split_once(':') {
                    Some((file, anchor)) => (file, Some(anchor)),
                    None => (file.trim_end_matches("}}"), None),
                };
                let path = beside(Path::new("docs/guide/src/page"), file);
                if !INCLUDED.iter().any(|place| path.to_str().unwrap().starts_with(place)) {
                    wrong.push(format!("{}: no test compiles {}", name.display(), path.display()));
                }
                // mdBook includes nothing, and says nothing, where the anchor is not there.
                let text = fs::read_to_string(root().join(&path)).unwrap_or_default();
                let has =
                    |anchor| text.lines().any(|line| line.trim().ends_with(&format!("// ANCHOR: {anchor}")));
                if !anchor.is_none_or(has) {
                    wrong.push(format!("{}: {} has no such anchor: {first}", name.display(), path.display()));
                }
            } else if block.is("c") {
                wrong
                    .push(format!("{}: include C from a file that a test compiles: {first}", name.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The tests that a case names are there.
#[test]
fn every_case_has_its_tests() {
    let mut sources = String::new();
    for directory in ["tests", "cargo-klp/tests"] {
        read(&root().join(directory), &mut sources);
    }
    let page = fs::read_to_string(guide().join("src/cases.md")).unwrap();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ") && line.contains("](")).collect();
    assert!(rows.len() > 10, "the page has {} cases: is it still read?", rows.len());
    let mut missing = Vec::new();
    for row in rows {
        let tests = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        missing.extend(
            tests.split('`').skip(1).step_by(2).filter(|test| !sources.contains(&format!("fn {test}("))),
        );
    }
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// Adds the text of all Rust files.
fn read(directory: &Path, sources: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}
