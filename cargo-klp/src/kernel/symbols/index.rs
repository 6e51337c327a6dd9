//! Finds the kernel's own modules that define a name. The names of all modules are read once and kept in the cache.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Symbol;
use super::module::{self, Module};
use super::nearest::nearest;
use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::host::{cache, processors, sorted};
use crate::kernel::Kernel;

/// Sorted lines, one for each name: the name, and the modules that define it.
#[derive(Debug)]
pub(super) struct Index(String);

/// The form of the index, in the name of the cache's entry.
const VERSION: u32 = 1;

impl Index {
    /// The index of a kernel; `None` if its modules are not on this machine. The first time for a kernel takes many
    /// seconds, and reports progress.
    pub(super) fn open(kernel: &Kernel, reporter: &dyn Reporter) -> Result<Option<Self>> {
        let Some(directory) = kernel.modules_dir() else { return Ok(None) };
        // depmod rewrites it when a module is added or removed.
        let build = cache::hash(&directory.join("modules.dep"));
        let entry = cache::entry(format!("symbols/{}-{build}-modules-{VERSION}", kernel.release), |dir| {
            let files = module::own(&directory)?;
            let what = format!("the symbols of {} modules of {}, once", files.len(), kernel.release);
            let progress = reporter.progress("Reading", &what);
            let text = lines(&names(&directory, &files, |done| progress.update(&format!("{what}: {done}"))));
            let file = dir.join("names");
            fs::write(&file, text).map_err(Error::io("write", &file))
        })?;
        sorted::read(&entry.join("names")).map(|text| Some(Self(text)))
    }

    /// The modules that have a symbol of this name.
    pub(super) fn modules<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let line = sorted::starting_with(&self.0, name).next().unwrap_or_default();
        let (found, modules) = line.split_once(' ').unwrap_or_default();
        modules.split(' ').filter(move |module| found == name && !module.is_empty())
    }

    /// The names that resemble this one, each after a module that defines it: `nf_tables:nft_do_chain`.
    pub(super) fn nearest(&self, name: &str) -> Vec<String> {
        let names = self.0.lines().filter_map(|line| Some(line.split_once(' ')?.0));
        let with_module = |near: &str| Some(format!("{}:{near}", self.modules(near).next()?));
        nearest(name, names).into_iter().filter_map(with_module).collect()
    }
}

/// The names that modules define, each with its modules. One thread for each processor unpacks files.
fn names(
    directory: &Path,
    files: &[String],
    progress: impl Fn(usize) + Sync,
) -> BTreeMap<String, Vec<String>> {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<String, Vec<String>>::new()));
    let read = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            // A file that can't be read is reported when a patch names it.
            let Ok(module) = Module::read(&directory.join(file)) else { continue };
            let name = module::name(file);
            let mut all = all.lock().expect("nothing panics with it");
            for symbol in module.symbols().iter().filter(|symbol| is_own(symbol)) {
                let modules = all.entry(symbol.name.clone()).or_default();
                if modules.last() != Some(&name) {
                    modules.push(name.clone());
                }
            }
            drop(all);
            progress(next.load(Ordering::Relaxed));
        }
    };
    thread::scope(|scope| {
        for _ in 0..processors() {
            scope.spawn(read);
        }
    });
    all.into_inner().expect("nothing panics with it")
}

/// Whether the name belongs to a function or a variable of the source, as opposed to one from a macro or the compiler.
fn is_own(symbol: &Symbol) -> bool {
    const MADE: [&str; 5] = ["__pfx_", "__UNIQUE_ID_", "__ksymtab_", "__kstrtab", "__crc_"];
    let is_static = !symbol.is_code() && symbol.name.contains('.');
    sorted::is_word(&symbol.name)
        && symbol.position == 1
        && !is_static
        && !MADE.iter().any(|start| symbol.name.starts_with(start))
}

fn lines(names: &BTreeMap<String, Vec<String>>) -> String {
    let line = |(name, modules): (&String, &Vec<String>)| {
        let mut modules = modules.clone();
        modules.sort();
        format!("{name} {}\n", modules.join(" "))
    };
    // A file without a line would seem damaged.
    if names.is_empty() { "\n".into() } else { names.iter().map(line).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str, kind: char) -> Symbol {
        Symbol { name: name.into(), kind, section: None, address: 0, position: 1, is_init: false }
    }

    #[test]
    fn names_and_their_modules() {
        let names = [("a", vec!["y", "x"]), ("ab", vec!["z"]), ("b.isra.0", vec!["z"])];
        let names =
            names.map(|(name, modules)| (name.into(), modules.into_iter().map(str::to_owned).collect()));
        let index = Index(lines(&names.into()));
        let modules = |name| index.modules(name).collect::<Vec<_>>();
        assert_eq!(modules("a"), ["x", "y"]);
        assert_eq!(modules("ab"), ["z"]);
        assert_eq!(index.nearest("aa"), ["x:a", "z:ab"]);
        for absent in ["", "b", "b.isra", "c"] {
            assert_eq!(modules(absent), Vec::<&str>::new(), "{absent}");
        }
    }

    #[test]
    fn names_that_nobody_gave() {
        for own in [symbol("nft_do_chain", 'T'), symbol("f.isra.0", 't'), symbol("count", 'b')] {
            assert!(is_own(&own), "{own:?}");
        }
        for made in [symbol("__pfx_f", 't'), symbol("__func__.12", 'r'), symbol("__ksymtab_f", 'r')] {
            assert!(!is_own(&made), "{made:?}");
        }
    }
}
