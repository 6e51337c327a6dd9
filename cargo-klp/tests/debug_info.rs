//! Where functions are, read from debug information that gcc has made of a source, which says what that must be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_klp::kernel::debug_info::{Code, DebugInfo};
use object::{Object, ObjectSymbol};

const SOURCES: [&str; 3] = ["inlined.c", "inlined_more.c", "inlined.h"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A function's place, its own code, and what it is inlined into.
type Whereabouts = (String, Vec<String>, Vec<String>);

/// What the comments of the sources say of the functions below them.
fn expected() -> BTreeMap<String, Vec<Whereabouts>> {
    let mut functions = BTreeMap::<_, Vec<_>>::new();
    for file in SOURCES {
        let text = fs::read_to_string(fixtures().join(file)).unwrap();
        for (number, line) in text.lines().enumerate() {
            let Some((name, rest)) = line.strip_prefix("/* ").and_then(|line| line.split_once(": code "))
            else {
                continue;
            };
            let (code, inlined) = rest.trim_end_matches(" */").split_once("; inlined into ").unwrap();
            // The next line, counted from 1.
            let place = format!("{file}:{}", number + 2);
            functions.entry(name.to_owned()).or_default().push((place, list(code), list(inlined)));
        }
    }
    functions
}

fn list(text: &str) -> Vec<String> {
    let items = text.split(", ").filter(|item| !["none", "nothing"].contains(item));
    let mut items: Vec<_> = items.map(str::to_owned).collect();
    items.sort();
    items
}

/// The sources as one file.
fn compiled(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = directory.join("compiled");
    let mut gcc = Command::new("gcc");
    // How much is inlined is up to gcc: these say it for the functions that have no attribute.
    gcc.args(["-g", "-O2", "-nostdlib", "-o"]).arg(&output).args(arguments).args(&SOURCES[..2]);
    assert!(gcc.current_dir(fixtures()).status().unwrap().success());
    fs::read(output).unwrap()
}

fn assert_whereabouts(data: &[u8]) {
    let info = DebugInfo::read(data).unwrap();
    let file = object::File::parse(data).unwrap();
    let name = |code: &Code| {
        let is_its = |symbol: &object::Symbol<'_, '_>| {
            symbol.name() == Ok(&*code.name) && symbol.address() == code.address
        };
        assert!(file.symbols().any(|symbol| is_its(&symbol)), "{code:?} is no symbol");
        code.name.clone()
    };
    let expected = expected();
    assert!(expected.len() > 15, "{expected:?}");
    for (function, expected) in expected {
        let found: Vec<Whereabouts> = info
            .named(&function)
            .iter()
            .map(|source| {
                let mut inlined: Vec<_> = source
                    .inlined
                    .iter()
                    .map(|(code, places)| match places {
                        1 => name(code),
                        _ => format!("{} * {places}", name(code)),
                    })
                    .collect();
                let mut copies: Vec<_> = source.copies.iter().map(name).collect();
                inlined.sort();
                copies.sort();
                (source.place.clone(), copies, inlined)
            })
            .collect();
        assert_eq!(found, expected, "{function}");
    }
    assert_eq!(info.named("no_such_function"), []);
}

#[test]
fn of_a_program() {
    let directory = tempfile::tempdir().unwrap();
    assert_whereabouts(&compiled(directory.path(), &["-static", "-Wl,-e,0"]));
}

/// Each function in a section of its own: all of them are at the offset 0, and relocated.
#[test]
fn of_a_module() {
    let directory = tempfile::tempdir().unwrap();
    assert_whereabouts(&compiled(directory.path(), &["-r", "-ffunction-sections"]));
}

#[test]
fn of_packed_sections() {
    let directory = tempfile::tempdir().unwrap();
    assert_whereabouts(&compiled(directory.path(), &["-static", "-Wl,-e,0", "-gz"]));
}

#[test]
fn of_older_dwarf() {
    let directory = tempfile::tempdir().unwrap();
    assert_whereabouts(&compiled(directory.path(), &["-static", "-Wl,-e,0", "-gdwarf-4"]));
}

#[test]
fn what_is_in_other_files_is_not_taken_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = compiled(directory.path(), &["-static", "-Wl,-e,0", "-gsplit-dwarf", "-dumpdir", "/tmp/"]);
    let error = DebugInfo::read(&data).unwrap_err().to_string();
    assert!(error.contains("CONFIG_DEBUG_INFO_SPLIT"), "{error}");
}
