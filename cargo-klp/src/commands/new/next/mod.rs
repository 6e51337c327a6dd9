//! The next version of a patch: a copy of its crate that replaces it, and a test of the replacement.
//!
//! What a cumulative patch must keep (functions, states with their ids and versions, shadow variables) is
//! the same because the source is the same. The tests are copied too, and test the new version.

mod calls;
mod declaration;
mod manifest;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use declaration::Declaration;
use manifest::Manifest;
pub(super) use manifest::relative;

use super::name::Name;
use crate::error::{Error, Result};
use crate::kbuild::rules;

/// What is not part of a patch, or of which the next version has its own.
const LEFT_OUT: [&str; 2] = ["target", "Cargo.lock"];

/// The test of the replacement, each version's own.
const REPLACEMENT: &str = "tests/replacement.rs";

/// What Kbuild leaves beside the sources.
const MADE: [&str; 12] = [
    ".o",
    ".ko",
    ".mod",
    ".mod.c",
    ".cmd",
    ".tmp",
    ".warnings",
    "_glue.c",
    "_klp.h",
    "klp_patch.h",
    ".symvers",
    ".order",
];

/// The next version of a patch.
#[derive(Debug)]
pub(super) struct Next {
    /// The files of the crate, by their paths in it.
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    /// The module that it replaces.
    pub(super) old: String,
    /// The series and the new revision, if the patch has one.
    pub(super) revision: Option<String>,
    /// Whether Cargo.toml takes something from the workspace around the crate.
    pub(super) inherits: bool,
}

/// Makes the next version of the crate in `from`, for the directory `crate_dir`.
pub(super) fn next(from: &Path, crate_dir: &Path, name: &Name) -> Result<Next> {
    let from = fs::canonicalize(from).map_err(Error::io("find", from))?;
    let manifest_path = from.join("Cargo.toml");
    let text = fs::read_to_string(&manifest_path).map_err(|_| not_a_patch(&from, "it has no Cargo.toml"))?;
    let mut manifest = Manifest::parse(&text).map_err(|why| not_a_patch(&from, &why))?;
    let old = manifest.module()?.to_owned();
    if old == name.module() {
        return Err(Error::Request {
            message: format!("both versions would be called `{old}`"),
            help:
                "both modules are loaded while one replaces the other: choose another name, such as `fix_v2`"
                    .into(),
        });
    }
    if crate_dir.starts_with(&from) {
        return Err(Error::Request {
            message: format!("`{}` is inside the crate that it is made from", crate_dir.display()),
            help: format!("put it beside that one: `{}`", from.with_file_name(name.package()).display()),
        });
    }

    let mut files = BTreeMap::new();
    collect(&from, Path::new(""), &mut files)?;
    let root = PathBuf::from(manifest.root());
    let source =
        files.get(&root).ok_or_else(|| not_a_patch(&from, &format!("it has no {}", root.display())))?;
    let source = String::from_utf8_lossy(source).into_owned();
    let declaration = Declaration::parse(&source).map_err(|why| not_a_patch(&from, &why))?;
    if !declaration.is_enabled() {
        return Err(Error::Request {
            message: format!("`{old}` is no livepatch for the kernel: `enable: false`"),
            help: "there is nothing to replace: unload it and load another module".into(),
        });
    }
    let edited = declaration.cumulative();
    let is_rust = |path: &Path| path.extension().is_some_and(|end| end == "rs");
    let rust = files.iter().filter(|(path, _)| is_rust(path) && !path.starts_with("tests"));
    let texts: Vec<_> = rust.map(|(_, text)| String::from_utf8_lossy(text).into_owned()).collect();
    let stubs = calls::stubs(&texts);
    let test = declaration.test(&old, name.module(), &stubs);

    let has_tests = texts.iter().any(|text| text.contains("(test)") || text.contains("#[test]"));
    manifest.next(name.package(), &from, crate_dir, has_tests);
    let kbuild = match files.get(Path::new("Kbuild")) {
        Some(kbuild) => renamed(&String::from_utf8_lossy(kbuild), &old, name.module()),
        None => rules::for_crate(name.module()),
    };
    for (path, text) in &mut files {
        let is_test = path.starts_with("tests") && is_rust(path);
        if is_test || [".gitignore", "README.md"].iter().any(|name| path == Path::new(name)) {
            *text = renamed(&String::from_utf8_lossy(text), &old, name.module()).into_bytes();
        }
    }
    files.insert("Kbuild".into(), kbuild.into_bytes());
    files.insert(root, edited.into_bytes());
    files.insert("Cargo.toml".into(), manifest.text().into_bytes());
    files.insert(REPLACEMENT.into(), test.into_bytes());
    Ok(Next { files, old, revision: declaration.next_revision(), inherits: manifest.inherits() })
}

fn not_a_patch(from: &Path, why: &str) -> Error {
    Error::Request {
        message: format!("cannot make a next version of `{}`: {why}", from.display()),
        help: "name the directory of a patch crate: `cargo klp new fix_v2 --from fix_v1`".into(),
    }
}

/// Reads the files of a directory of the crate.
fn collect(from: &Path, inside: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let directory = from.join(inside);
    for entry in fs::read_dir(&directory).map_err(Error::io("read", &directory))? {
        let entry = entry.map_err(Error::io("read", &directory))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_top = inside.as_os_str().is_empty();
        let is_hidden = name.starts_with('.') && name != ".gitignore";
        if is_hidden || is_top && LEFT_OUT.contains(&&*name) || MADE.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let path = inside.join(&name);
        if entry.path().is_dir() {
            collect(from, &path, files)?;
        } else {
            let content = fs::read(entry.path()).map_err(Error::io("read", entry.path()))?;
            files.insert(path, content);
        }
    }
    Ok(())
}

/// A text with another name for the module wherever the old one is a word, or the start of one that Kbuild makes.
fn renamed(text: &str, old: &str, new: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(old) {
        let (before, found) = rest.split_at(at);
        let after = &found[old.len()..];
        let is_start = !before.ends_with(is_word);
        let made = ["_glue.c", "_klp.h", "_rust."].iter().any(|end| after.starts_with(end));
        let is_whole = !after.starts_with(is_word) || made;
        result.push_str(before);
        result.push_str(if is_start && is_whole { new } else { old });
        rest = after;
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_gets_its_new_name() {
        assert_eq!(
            renamed(
                "obj-m := fix_v1.o\nfix_v1-y += x.o my_fix_v1.o /fix_v1_glue.c fix_v10.o",
                "fix_v1",
                "fix_v2"
            ),
            "obj-m := fix_v2.o\nfix_v2-y += x.o my_fix_v1.o /fix_v2_glue.c fix_v10.o"
        );
    }
}
