//! The record of what a module was made of: a file beside the module, with digests of contents.
//!
//! `cargo klp object` begins the record when Kbuild begins to make the module, and `cargo klp finish` completes it
//! with the module. Both ways of building compare the record with the present: if nothing has changed, make leaves
//! the module alone, and `cargo klp build` does not run make at all.
//!
//! For the patch crate, the record has the digest of the library that cargo makes from it: sources, features,
//! dependencies and the compiler are cargo's business, and cargo runs each time. For everything else it has the digest
//! of each file. Times decide nothing; [`file`] says how they save reading files.

mod file;
mod inputs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::workspace::Crate;
use crate::error::{Error, Result};
use crate::host::digest::Digest;
use crate::kernel::Target;
use crate::patch::manifest::Manifest;
pub(super) use file::Entry;
use file::Stat;
pub(super) use inputs::{ENVIRONMENT, environment, kernel_files};

/// The first line of a record. A record with another first line is ignored.
const VERSION: &str = "klp record 1";

/// The place where a module is made.
#[derive(Clone, Debug)]
pub(super) struct Place {
    dir: PathBuf,
    module: String,
}

/// What has changed since a module was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing, and the module is there.
    Nothing,
    /// Only the library that cargo makes from the patch crate; or the module is gone.
    Library,
    /// Anything else, or nothing is known.
    Anything,
}

/// A record that was read.
struct Record {
    circumstances: Digest,
    library: Digest,
    module: Digest,
    entries: Vec<Entry>,
}

impl Place {
    /// The place where Kbuild makes this module.
    pub(super) fn of(ko: &Path) -> Self {
        let name = ko.file_name().unwrap_or_default().to_string_lossy();
        let module = name.split_once(".ko").map_or(&*name, |(module, _)| module).to_owned();
        Self { dir: ko.parent().unwrap_or(Path::new(".")).into(), module }
    }

    /// The name of the module.
    pub(super) fn module(&self) -> &str {
        &self.module
    }

    /// The module.
    pub(super) fn ko(&self) -> PathBuf {
        self.dir.join(format!("{}.ko", self.module))
    }

    fn record(&self) -> PathBuf {
        self.dir.join(format!(".{}.klp_record", self.module))
    }

    /// The record while the module is being made.
    fn begun(&self) -> PathBuf {
        self.dir.join(format!(".{}.klp_begun", self.module))
    }

    /// The record of the previous module, which spares reading files that are unchanged.
    fn previous(&self) -> PathBuf {
        self.dir.join(format!(".{}.klp_previous", self.module))
    }

    /// The file that names the make that builds the module.
    pub(super) fn turn(&self) -> PathBuf {
        self.dir.join(format!(".{}.klp_make", self.module))
    }

    /// The digest of the library that the module was made with, if the module exists and nothing but the library can
    /// have changed.
    pub(super) fn library_if_unchanged(&self, krate: &Crate, target: &Target) -> Option<Digest> {
        let record = self.current(krate, target)?;
        self.is_there(&record).then_some(record.library)
    }

    /// What has changed since the module was made, given the library that cargo has made now.
    pub(super) fn change(&self, krate: &Crate, target: &Target, library: &Digest) -> Change {
        match self.current(krate, target) {
            None => Change::Anything,
            Some(record) if record.library == *library && self.is_there(&record) => Change::Nothing,
            Some(_) => Change::Library,
        }
    }

    /// The record, if everything in it is unchanged, apart from the library and the module.
    fn current(&self, krate: &Crate, target: &Target) -> Option<Record> {
        let record = Record::read(&self.record())?;
        let is_current = record.circumstances == inputs::circumstances(krate, target)
            && record.entries.iter().all(Entry::is_current);
        is_current.then_some(record)
    }

    /// Whether the module is the one in the record.
    fn is_there(&self, record: &Record) -> bool {
        fs::read(self.ko()).is_ok_and(|ko| Digest::of(ko) == record.module)
    }

    /// Notes the time at which work on a module begins. Changes from now on may or may not end up in the module.
    pub(super) fn start(&self) -> Result<Started> {
        let path = self.begun();
        fs::write(&path, "").map_err(Error::io("write", &path))?;
        Ok(Started(Stat::of(&path).map_or(0, |stat| stat.changed)))
    }

    /// Removes the module and its record; if anything but the library has changed, also everything that Kbuild has
    /// made, so that Kbuild starts from nothing.
    pub(super) fn discard(&self, change: Change) -> Result<()> {
        remove(&self.ko())?;
        if self.record().exists() {
            fs::rename(self.record(), self.previous()).map_err(Error::io("rename", self.record()))?;
        }
        if change != Change::Anything {
            return Ok(());
        }
        let module = &self.module;
        let mut objects = inputs::c_objects(&self.dir, module);
        let others = [".o", "_rust.o", "_c.o", "_glue.o", ".mod.o"];
        objects.extend(others.map(|end| format!("{module}{end}")));
        for object in objects.iter().map(String::as_str).chain([".module-common.o"]) {
            remove(&self.dir.join(object))?;
            remove(&self.dir.join(format!(".{object}.cmd")))?;
        }
        remove(&self.dir.join(format!("{module}_klp.h")))
    }

    /// Removes the module if its crate does not compile any more: it was made of another source.
    pub(super) fn or_discard<T>(&self, compiled: Result<T>) -> Result<T> {
        if compiled.is_err() {
            self.discard(Change::Library)?;
        }
        compiled
    }

    /// Notes what the module is made of, as far as this is known before Kbuild compiles anything.
    pub(super) fn begin(&self, started: Started, made_of: &MadeOf<'_>) -> Result<()> {
        let MadeOf { krate, target, kbuild, manifest, headers, library } = made_of;
        let circumstances = inputs::circumstances(krate, target);
        let mut text =
            format!("{VERSION}\n{circumstances} {library} {} {}\n", started.0, target.kernel.kdir.display());
        for file in inputs::files(target, kbuild, manifest)?.union(headers) {
            text.push_str(&format!("{}\n", file.display()));
        }
        let path = self.begun();
        fs::write(&path, text).map_err(Error::io("write", path))
    }

    /// Writes the record of the finished module. If the module's inputs can't be known for sure, there is no record,
    /// so that the next build makes the module again.
    pub(super) fn complete(&self, module: &Digest) -> Result<()> {
        let begun = fs::read_to_string(self.begun()).unwrap_or_default();
        let previous = Record::read(&self.previous()).map(|record| record.entries).unwrap_or_default();
        for path in [self.begun(), self.previous(), self.record()] {
            remove(&path)?;
        }
        let Some(text) = self.completed(&begun, previous, module) else { return Ok(()) };
        // Whole or not at all.
        let partial = self.begun();
        fs::write(&partial, text).map_err(Error::io("write", &partial))?;
        fs::rename(&partial, self.record()).map_err(Error::io("write", self.record()))
    }

    fn completed(&self, begun: &str, previous: Vec<Entry>, module: &Digest) -> Option<String> {
        let mut lines = begun.lines();
        if lines.next() != Some(VERSION) {
            return None;
        }
        let mut words = lines.next()?.splitn(4, ' ');
        let (circumstances, library) = (words.next()?, words.next()?);
        let (started, kdir) = (words.next()?.parse::<i128>().ok()?, words.next()?);
        let mut files: BTreeSet<PathBuf> = lines.map(PathBuf::from).collect();
        files.extend(inputs::compiled(&self.dir, &self.module, Path::new(kdir))?);
        let mut known: BTreeMap<PathBuf, Entry> =
            previous.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        let mut text = format!("{VERSION}\n{circumstances} {library} {module}\n");
        for file in files {
            let entry = Entry::of(file, |path| known.remove(path));
            let is_old = |stat: Option<Stat>| stat.is_none_or(|stat| stat.changed < started);
            if !is_old(entry.stat) || Stat::of(&entry.path) != entry.stat {
                return None;
            }
            text.push_str(&entry.line());
            text.push('\n');
        }
        Some(text)
    }
}

/// The time at which work on a module began, by the clock of its file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started(i128);

/// What a module is made of.
pub(super) struct MadeOf<'a> {
    /// The patch crate.
    pub(super) krate: &'a Crate,
    /// The kernel and modules that it is built for.
    pub(super) target: &'a Target,
    /// The directory of klp.mk and the glue.
    pub(super) kbuild: &'a Path,
    /// The manifest that the macros emitted.
    pub(super) manifest: &'a Manifest,
    /// What its macros have read of the kernel's headers.
    pub(super) headers: BTreeSet<PathBuf>,
    /// The digest of the library that cargo made from the crate.
    pub(super) library: Digest,
}

impl Record {
    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut lines = text.lines();
        if lines.next() != Some(VERSION) {
            return None;
        }
        let mut digests = lines.next()?.split(' ').map(|word| word.parse::<Digest>().ok());
        let (circumstances, library, module) = (digests.next()??, digests.next()??, digests.next()??);
        let entries = lines.map(Entry::parse).collect::<Option<Vec<_>>>()?;
        Some(Self { circumstances, library, module, entries })
    }
}

/// Removes a file, if it exists.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
