//! The tests that the sources have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Ident, ItemFn, Macro, Token};

use crate::root;

/// The functions with `#[test]` of `tests/model`.
pub fn model_tests() -> BTreeSet<String> {
    tests_of("tests/model")
}

/// Those that `crate::tests!` of `tests/kernel` lists.
pub fn kernel_tests() -> BTreeSet<String> {
    tests_of("tests/kernel")
}

fn tests_of(directory: &str) -> BTreeSet<String> {
    let mut tests = Tests::default();
    for file in files(&root().join(directory), &["rs"]) {
        tests.visit_file(&parse(&file));
    }
    assert!(!tests.0.is_empty(), "{directory} has no tests");
    tests.0
}

/// The files of a directory and those below it whose names end in one of these extensions.
pub fn files(directory: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let is_meant =
        |path: &PathBuf| path.extension().is_some_and(|of| extensions.iter().any(|one| of == *one));
    let files = entries.map(|entry| entry.expect("it can be read").path()).flat_map(|path| {
        if path.is_dir() { files(&path, extensions) } else { Vec::from_iter(Some(path).filter(is_meant)) }
    });
    files.collect()
}

pub fn parse(file: &Path) -> syn::File {
    let text = fs::read_to_string(file).expect("it can be read");
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[derive(Default)]
struct Tests(BTreeSet<String>);

impl Visit<'_> for Tests {
    fn visit_item_fn(&mut self, function: &ItemFn) {
        if function.attrs.iter().any(|attribute| attribute.path().is_ident("test")) {
            self.0.insert(function.sig.ident.to_string());
        }
        visit::visit_item_fn(self, function);
    }

    fn visit_macro(&mut self, call: &Macro) {
        let names = Punctuated::<Ident, Token![,]>::parse_terminated;
        if call.path.segments.last().is_some_and(|name| name.ident == "tests")
            && let Ok(names) = names.parse2(call.tokens.clone())
        {
            self.0.extend(names.iter().map(Ident::to_string));
        }
    }
}
