//! Every Rust snippet of the README and of `docs/` compiles as a reader pastes it, without a warning.
//!
//! A block marked `rust` is the `lib.rs` of a patch crate. A block marked `rust,test` is a test of one: it also runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, iter};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// A block of a page.
struct Snippet {
    /// Page and number: also the name of its file.
    name: String,
    is_test: bool,
    code: String,
}

#[test]
fn every_snippet_compiles_as_pasted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let snippets: Vec<_> = pages(root).iter().flat_map(|page| snippets_of(page)).collect();
    assert!(snippets.iter().any(|snippet| !snippet.is_test), "the pages have no patch: are they still read?");

    let package = root.join("target/pages");
    write_package(&package, root, &snippets);
    // A reader has installed the command, which `kernel_types!` asks for the types of a module.
    cargo(root, &root.join("target"), &["build", "--quiet", "--package", "cargo-klp"]);
    // The workspace's directory: dependencies are compiled there already.
    cargo(&package, &root.join("target"), &["test", "--quiet", "--offline", "--examples", "--tests"]);
}

/// Runs cargo in `directory`, with what it builds first on the path.
fn cargo(directory: &Path, target: &Path, arguments: &[&str]) {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(iter::once(target.join("debug")).chain(env::split_paths(&path))).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", target)
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "`cargo {}` fails in {}:\n{}{}",
        arguments.join(" "),
        directory.display(),
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
}

/// The README, and every page below `docs/`.
fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages = vec![root.join("README.md")];
    let mut directories = vec![root.join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn snippets_of(page: &Path) -> Vec<Snippet> {
    let stem = page.file_stem().unwrap().to_str().unwrap().to_lowercase().replace('-', "_");
    let text = fs::read_to_string(page).unwrap();
    let mut snippets = Vec::new();
    let mut open: Option<Snippet> = None;
    for event in Parser::new(&text) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let mut words = info.split(',');
                if words.next() == Some("rust") {
                    let name = format!("{stem}_{}", snippets.len() + 1);
                    let is_test = words.any(|word| word == "test");
                    open = Some(Snippet { name, is_test, code: String::new() });
                }
            }
            Event::Text(text) => {
                if let Some(snippet) = &mut open {
                    snippet.code.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => snippets.extend(open.take()),
            _ => {}
        }
    }
    snippets
}

/// One package of all snippets: patches are libraries of their own, tests are tests.
fn write_package(package: &Path, root: &Path, snippets: &[Snippet]) {
    let mut manifest = format!(
        "[package]\nname = \"snippets\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\npath = \"lib.rs\"\n\n\
         [dev-dependencies]\nklp-runtime = {{ path = {:?}, features = [\"sim\"] }}\n\n\
         [lints.rust]\nwarnings = \"deny\"\n",
        root.join("klp-runtime")
    );
    fs::create_dir_all(package).unwrap();
    fs::write(package.join("lib.rs"), "").unwrap();
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    for Snippet { name, is_test, code } in snippets {
        fs::write(package.join(format!("{name}.rs")), code).unwrap();
        let (kind, more) = if *is_test { ("test", "") } else { ("example", "crate-type = [\"lib\"]\n") };
        manifest += &format!("\n[[{kind}]]\nname = \"{name}\"\npath = \"{name}.rs\"\n{more}");
    }
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
}
