//! The messages that the guide explains are those that klp prints.
//!
//! In the first column of the tables of `troubleshooting.md`, a message stands between two pairs of backticks, with
//! `…` for what differs. Every piece between must be in the sources.

use std::fs;
use std::path::Path;

use klp_page_tests::root;

/// Where the messages are.
const SOURCES: &[&str] =
    &["cargo-klp/src", "klp/src", "klp-macros/src", "klp-runtime/src", "klp-runtime/kbuild"];

#[test]
fn every_message_is_one_of_klp() {
    let mut sources = String::new();
    for directory in SOURCES {
        read(&root().join(directory), &mut sources);
    }
    let page = fs::read_to_string(root().join("docs/guide/src/troubleshooting.md")).unwrap();
    let messages: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("| ``")?.split_once("`` |")).collect();
    assert!(messages.len() > 30, "the page has {} messages: is it still read?", messages.len());
    let unknown = messages.iter().map(|(message, _)| message.trim()).filter(|message| {
        let pieces = message.split('…').map(|piece| piece.trim_matches(['`', ' ']));
        pieces.filter(|piece| piece.len() > 2).any(|piece| !sources.contains(piece))
    });
    let unknown: Vec<_> = unknown.collect();
    assert!(unknown.is_empty(), "nothing says:\n{}", unknown.join("\n"));
}

/// Adds the text of all files; a text that goes on in the next line is one.
fn read(directory: &Path, sources: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, sources);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let mut pieces = text.split("\\\n");
            sources.push_str(pieces.next().unwrap_or_default());
            pieces.for_each(|piece| sources.push_str(piece.trim_start()));
            sources.push('\n');
        }
    }
}
