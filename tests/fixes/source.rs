//! The sources of two releases, and diffs between them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};

use cargo_klp::host::debian::Apt;
use cargo_klp::host::report::Silent;
use lzma_rust2::XzReader;
use tar::Archive;

use crate::corpus::{Corpus, Fix};

/// The files of the other release that fixes of a corpus come from, fetched from Debian.
pub(crate) fn other(corpus: &Corpus) -> tempfile::TempDir {
    let (name, version) = (format!("linux-source-{}", corpus.series), corpus.other);
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let apt = Apt::stable(&Silent).unwrap();
    let package = directory.path().join("package");
    apt.download_and_extract(&name, Some(version), &package)
        .unwrap_or_else(|error| panic!("{error}; {:?}", error.help()));
    let archive = File::open(package.join(format!("usr/src/{name}.tar.xz"))).unwrap();
    let mut wanted: BTreeSet<&Path> = corpus.fixes.iter().map(|fix| Path::new(fix.file)).collect();
    for entry in Archive::new(XzReader::new(BufReader::new(archive), true)).entries().unwrap() {
        let mut entry = entry.unwrap();
        // The first part is the name of the package.
        let path: PathBuf = entry.path().unwrap().components().skip(1).collect();
        if wanted.remove(&*path) {
            let to = directory.path().join(&path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            entry.unpack(to).unwrap();
        }
        if wanted.is_empty() {
            break;
        }
    }
    assert!(wanted.is_empty(), "{name} {version} has no {wanted:?}");
    fs::remove_dir_all(package).unwrap();
    directory
}

/// The text of a file, a few of which are not UTF-8.
pub(crate) fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .into_owned()
}

/// The diff that makes a fix's functions, or all of its file, those of the other release.
pub(crate) fn difference(from: &Path, to: &Path, fix: &Fix) -> String {
    let (old, new) = (read(&from.join(fix.file)), read(&to.join(fix.file)));
    let fixed = match fix.functions {
        [] => new,
        functions => functions.iter().fold(old.clone(), |text, name| {
            let (own, other) = (function(&text, name), function(&new, name));
            text[..own.start].to_owned() + &new[other] + &text[own.end..]
        }),
    };
    diff(fix.file, &old, &fixed)
}

/// A diff of a file as `git diff` writes it.
pub(crate) fn diff(file: &str, old: &str, new: &str) -> String {
    let patch = diffy::create_patch(old, new).to_string();
    let hunks = patch.find("@@").map_or("", |start| &patch[start..]);
    format!("--- a/{file}\n+++ b/{file}\n{hunks}")
}

/// Where a function is defined: from the line that names it to the brace in the first column.
pub(crate) fn function(text: &str, name: &str) -> Range<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let begins = line.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        let named = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
        if begins && named && line.contains(&format!("{name}(")) {
            let rest = &text[start..];
            let end = rest.find("\n}").map_or(rest.len(), |end| end + 2);
            // A prototype ends before a body begins.
            if rest[..end].find("\n{").is_some_and(|body| !rest[..body].contains(';')) {
                return start..start + end;
            }
        }
        start += line.len();
    }
    panic!("no function {name}");
}
