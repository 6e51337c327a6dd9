//! What the tests of the pages share: the pages, their blocks of code, and a way to run cargo.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, iter};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// A fenced block of code.
#[derive(Debug)]
pub struct Block {
    /// What stands behind the fence, such as `rust,test`.
    pub info: String,
    /// The text between the fences.
    pub code: String,
}

impl Block {
    /// Whether the block is in `language`.
    pub fn is(&self, language: &str) -> bool {
        self.words().next() == Some(language)
    }

    /// The words behind the fence: the language, then what is said of the block.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.info.split(',').map(str::trim)
    }

    /// Whether `word` stands behind the fence.
    pub fn has(&self, word: &str) -> bool {
        self.words().any(|one| one == word)
    }

    /// Whether mdBook takes the block's text from a file, which is compiled where it stands.
    pub fn is_included(&self) -> bool {
        self.code.trim_start().starts_with("{{#include ")
    }
}

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the package is two levels down")
}

/// The pages at the top of the repository, those of the crates and examples, and every page below `docs/`.
pub fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    // A directory, and how many levels below it are read.
    let mut directories =
        vec![(root().to_owned(), 1), (root().join("examples"), 1), (root().join("docs"), 9)];
    while let Some((directory, levels)) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of pages can be read") {
            let path = entry.expect("a directory of pages can be read").path();
            if path.is_dir() && levels > 0 {
                directories.push((path, levels - 1));
            } else if path.extension().is_some_and(|extension| extension == "md") && !path.is_symlink() {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages.dedup();
    pages
}

/// The blocks of code of a page.
pub fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for event in Parser::new(&text) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                open = Some(Block { info: info.into_string(), code: String::new() });
            }
            Event::Text(text) => {
                if let Some(block) = &mut open {
                    block.code.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks
}

/// Builds programs of the workspace, and returns a `PATH` that finds them first, as a reader has installed them.
pub fn path_with(packages: &[&str]) -> std::ffi::OsString {
    let target = root().join("target");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet"]).args(packages.iter().flat_map(|package| ["--package", package]));
    succeed(build.current_dir(root()).env("CARGO_TARGET_DIR", &target));
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(iter::once(target.join("debug")).chain(env::split_paths(&path)))
        .expect("the directory has no colon in its path")
}

/// Runs a command, and fails with what it printed if it fails.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} fails:\n{errors}{out}");
    out.into_owned()
}
