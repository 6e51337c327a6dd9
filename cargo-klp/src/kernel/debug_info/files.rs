//! Sources of debug information, and the files of its index.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use object::read::ReadCache;
use object::{Object as _, ObjectSection};

use super::index;
use crate::error::{Error, Result};
use crate::host::cache::{self, Lock};
use crate::host::report::Reporter;
use crate::kernel::Target;
use crate::kernel::symbols::{Object, Symbols, VMLINUX, build_id};

/// The form of the index, in the name of its file.
const VERSION: u32 = 1;

/// Advice for a user without debug information.
#[must_use]
pub(crate) fn help(release: &str) -> String {
    format!("`cargo klp doctor --fix --debug-info --kernel {release}` gets it (1 GB)")
}

/// Checks the files that the user gave: each must belong to one of these targets, which differ in their kernels.
///
/// # Errors
///
/// A file belongs to another build, or has no debug information.
pub fn check_given(targets: &[Target], reporter: &dyn Reporter) -> Result<()> {
    for file in targets.first().map(|target| &*target.debug_info).unwrap_or_default() {
        let mut others = Vec::new();
        for target in targets {
            others.extend(mismatch(file, target, reporter)?);
        }
        if others.len() == targets.len() {
            return Err(Error::Request {
                message: format!("`{}` is of another build: {}", file.display(), others.join("; ")),
                help:
                    "give the vmlinux or the module that was made in the same build, before it was stripped"
                        .into(),
            });
        }
    }
    Ok(())
}

/// The reason why a file does not belong to a target, if it does not.
fn mismatch(file: &Path, target: &Target, reporter: &dyn Reporter) -> Result<Option<String>> {
    let data = ReadCache::new(fs::File::open(file).map_err(|error| unreadable(file, error))?);
    let (id, has_debug_info) = describe(&data)?;
    if !has_debug_info {
        return Err(unreadable(file, "it has no debug information (DWARF)"));
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let object = match name.split_once(".ko") {
        Some((stem, _)) => stem.replace('-', "_"),
        None => VMLINUX.into(),
    };
    let expected = Symbols::of(target, reporter)?.object(&object)?.build_id()?;
    if id.is_some() && id == expected {
        return Ok(None);
    }
    let shown = |id: Option<String>| id.unwrap_or_else(|| "none".into());
    let release = &target.kernel.release;
    Ok(Some(format!(
        "its build ID is {}, but that of {object} of {release} is {}",
        shown(id),
        shown(expected)
    )))
}

fn unreadable(file: &Path, why: impl std::fmt::Display) -> Error {
    Error::Request {
        message: format!("the debug information of `{}` can't be read: {why}", file.display()),
        help:
            "give a vmlinux or a .ko file as the kernel's build makes it with CONFIG_DEBUG_INFO, not stripped"
                .into(),
    }
}

/// The index of an object; `None` if this machine has no debug information of it.
///
/// The index of a file that the user gave is kept apart from the index of debug information that klp found by itself:
/// without such a file, the results are the same, whatever was given before.
pub(super) fn index_of(symbols: &Symbols<'_>, object: &Object<'_>) -> Result<Option<PathBuf>> {
    let Some(id) = object.build_id()? else { return Ok(None) };
    let Target { kernel, debug_info, .. } = symbols.target();
    let directory = directory(&kernel.release)?;
    if let Some(given) = debug_info.iter().find(|file| has_debug_info_of(file, &id)) {
        let entry = directory.join("given-files").join(name(&id));
        make_index(&entry, given, &object.name, symbols.reporter())?;
        return Ok(Some(entry));
    }
    let entry = directory.join(name(&id));
    if entry.exists() {
        return Ok(Some(entry));
    }
    let Some((start, rest)) = id.split_at_checked(2) else { return Ok(None) };
    let installed = PathBuf::from(format!("/usr/lib/debug/.build-id/{start}/{rest}.debug"));
    let own = if object.name == VMLINUX { kernel.kdir.join(VMLINUX) } else { object.file().to_owned() };
    for file in [installed, own] {
        if !has_debug_info_of(&file, &id) {
            continue;
        }
        match make_index(&entry, &file, &object.name, symbols.reporter()) {
            Ok(()) => return Ok(Some(entry)),
            // The user did not ask for it, so the work goes on without it.
            Err(why) => symbols.reporter().warning(&why.to_string()),
        }
    }
    Ok(None)
}

/// Makes an index, unless it exists.
fn make_index(entry: &Path, file: &Path, object: &str, reporter: &dyn Reporter) -> Result<()> {
    if entry.exists() {
        return Ok(());
    }
    let _lock = Lock::beside(entry)?;
    if entry.exists() {
        return Ok(());
    }
    let what = format!("the debug information of {object}");
    let _progress = reporter.progress("Reading", &what);
    let data = fs::read(file).map_err(Error::io("read", file))?;
    store(entry, &index::make(&data).map_err(|why| unreadable(file, why))?)
}

/// Puts the debug information of a vmlinux or a module into the cache, if it has any.
pub(super) fn import(release: &str, file: &Path, data: &[u8]) -> Result<()> {
    let (Some(id), true) = describe(data)? else { return Ok(()) };
    let entry = directory(release)?.join(name(&id));
    if entry.exists() {
        return Ok(());
    }
    store(&entry, &index::make(data).map_err(|why| unreadable(file, why))?)?;
    store(&stamp(release)?, "")
}

/// The build ID of an ELF file, and whether it has debug information of functions.
fn describe<'a>(data: impl object::ReadRef<'a>) -> Result<(Option<String>, bool)> {
    let read = || {
        let section = object::File::parse(data)?.section_by_name(".debug_info").map(|section| section.size());
        Ok((build_id(data)?, section.is_some_and(|size| size > 0)))
    };
    read().map_err(Error::elf("read a file with debug information"))
}

/// Whether a file belongs to this build and has debug information. A file that is compressed, or not an ELF file, has none.
fn has_debug_info_of(file: &Path, id: &str) -> bool {
    let Ok(file) = fs::File::open(file) else { return false };
    describe(&ReadCache::new(file))
        .is_ok_and(|(found, has_debug_info)| has_debug_info && found.as_deref() == Some(id))
}

/// The directory with the indices of a kernel's objects.
fn directory(release: &str) -> Result<PathBuf> {
    Ok(cache::root()?.join("debug-info").join(release))
}

/// A file that is newer than everything that was built before a kernel's debug information was fetched.
///
/// Debug information that a build finds by itself is as old as the patch's own module, or the kernel's.
pub(crate) fn stamp(release: &str) -> Result<PathBuf> {
    Ok(directory(release)?.join("fetched"))
}

/// The name of the index of the object with this build ID.
fn name(id: &str) -> String {
    format!("{id}-{VERSION}")
}

/// Writes a file that is either whole or absent.
fn store(path: &Path, text: &str) -> Result<()> {
    let directory = path.parent().expect("an entry is in a directory");
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    let everyone = fs::Permissions::from_mode(0o644);
    let file = tempfile::Builder::new().permissions(everyone).tempfile_in(directory);
    let mut file = file.map_err(Error::io("create", directory))?;
    file.write_all(text.as_bytes()).map_err(Error::io("write", path))?;
    file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
    Ok(())
}
