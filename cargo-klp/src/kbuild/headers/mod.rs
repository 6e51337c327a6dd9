//! What the kernel's headers have for `kernel_types!`: inline functions, macros and constants.
//!
//! The macro asks while the crate is compiled (`cargo klp types --headers`). A probe is compiled as Kbuild compiles a file
//! of a module, and what the compiler says becomes the answer, which the cache keeps. The functions in C that Rust
//! calls for inline functions and macros are compiled once more with each module, by the same compiler, and linked to
//! its Rust half.

mod compiler;
mod probe;
mod wrappers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use klp_format::condition::{self, Kind, Place};
use klp_format::headers::{
    ANSWER, BTF, DIRECTORY, Item, Line, Request, key, read_answer, write_answer, write_request,
};

use super::record::{Entry, kernel_files};
use crate::error::{Error, Result};
use crate::host::cache;
use crate::kernel::Kernel;
use crate::patch::manifest::Manifest;
use compiler::Compiler;
pub(super) use wrappers::link;

/// The file of an answer that names the files that it depends on, as a record has them.
const FILES: &str = "files";

/// The directory of the cache with the answer to a request.
///
/// # Errors
///
/// The compiler can't be run. What is wrong with the request is in the answer.
pub fn answer(request: &Request, kernel: &Kernel) -> Result<PathBuf> {
    let compiler = Compiler::of(kernel)?;
    cache::entry(of_kernel(kernel).join(key(&write_request(request))), |directory| {
        let found = probe::ask(request, &compiler, kernel)?;
        for (name, contents) in [(ANSWER, write_answer(&found.lines).as_bytes()), (BTF, &found.btf)] {
            let file = directory.join(name);
            fs::write(&file, contents).map_err(Error::io("write", &file))?;
        }
        // What was missing may be there the next time. What the compiler refuses of an item depends on the files that it read.
        let is_open = |line: &Line| match line {
            Line::Header { .. } | Line::Fault { item: None, .. } => true,
            Line::Fault { item: Some(item), .. } => matches!(request.items[*item], Item::Lost { .. }),
            _ => false,
        };
        match found.lines.iter().any(is_open) {
            true => fs::write(directory.join(FILES), "incomplete\n").map_err(Error::io("write", directory)),
            false => note_files(directory, found.files),
        }
    })
}

/// Whether a kernel has what a condition asks for of its headers: a header, or what one declares or defines.
///
/// # Errors
///
/// The header can't be compiled by itself, or the compiler can't be run.
pub(super) fn has(item: &condition::Item, kernel: &Kernel) -> Result<bool> {
    let name = &item.name;
    let includes = |header: &str| format!("__has_include(<{header}>)");
    let (header, asked) = match (&item.place, item.kind) {
        (Place::Header(header), Kind::Macro) => {
            (header, Item::Test { condition: format!("defined({name})") })
        }
        (Place::Header(header), _) => (header, Item::Function { name: name.clone() }),
        _ => (name, Item::Test { condition: includes(name) }),
    };
    let ask = |headers: Vec<String>, item| {
        let directory = answer(&Request { headers, items: vec![item] }, kernel)?;
        let file = directory.join(ANSWER);
        let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        Ok(read_answer(&text).unwrap_or_default())
    };
    let is_one = |lines: &[Line]| matches!(lines, [Line::Constant { value: 1, .. }]);
    if !is_one(&ask(Vec::new(), Item::Test { condition: includes(header) })?) {
        return Ok(false);
    }
    if item.kind == Kind::Header {
        return Ok(true);
    }
    let lines = ask(vec![header.clone()], asked)?;
    match lines.iter().find_map(|line| match line {
        Line::Header { why, .. } | Line::Fault { item: None, why } => Some(why),
        _ => None,
    }) {
        Some(why) => Err(Error::Request {
            message: format!("whether kernel {} has `{item}` is unknown: {why}", kernel.release),
            help: "name a header that includes what it needs".into(),
        }),
        None => Ok(is_one(&lines) || lines.iter().any(|line| matches!(line, Line::Function { .. }))),
    }
}

/// Forgets what was learnt from headers or rules of a kernel that have changed: `kernel_types!` then asks again, as
/// cargo sees that a file is gone which the crate includes.
///
/// # Errors
///
/// The cache can't be written.
pub(super) fn forget_outdated(kernel: &Kernel) -> Result<()> {
    let Ok(entries) = fs::read_dir(cache::root()?.join(of_kernel(kernel))) else { return Ok(()) };
    let mut seen = BTreeMap::new();
    for directory in entries.flatten().map(|entry| entry.path()) {
        let Ok(files) = fs::read_to_string(directory.join(FILES)) else { continue };
        let mut is_current = |line: &str| {
            *seen
                .entry(line.to_owned())
                .or_insert_with(|| Entry::parse(line).is_some_and(|file| file.is_current()))
        };
        if !files.lines().all(&mut is_current) {
            fs::remove_dir_all(&directory).map_err(Error::io("remove", &directory))?;
        }
    }
    Ok(())
}

/// The files that the macros of a patch have read in this way: headers, and the rules of Kbuild.
pub(super) fn files(manifest: &Manifest) -> BTreeSet<PathBuf> {
    let lists = manifest.headers.iter().map(|headers| Path::new(&headers.answer).join(FILES));
    let texts = lists.filter_map(|list| fs::read_to_string(list).ok());
    texts
        .flat_map(|text| text.lines().filter_map(Entry::parse).map(|entry| entry.path).collect::<Vec<_>>())
        .collect()
}

/// The directory of the cache for one kernel's build directory.
fn of_kernel(kernel: &Kernel) -> PathBuf {
    let place = cache::hash(&kernel.kdir.join("include/config/auto.conf"));
    Path::new(DIRECTORY).join(format!("{}-{place}", kernel.release))
}

/// Notes in a directory of the cache what its contents depend on.
fn note_files(directory: &Path, files: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    let lines = files.into_iter().map(|file| Entry::of(file, |_| None).line() + "\n");
    let file = directory.join(FILES);
    fs::write(&file, lines.collect::<String>()).map_err(Error::io("write", &file))
}
