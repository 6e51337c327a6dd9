//! Where debug information comes from, and where the index of it is.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use object::read::ReadCache;
use object::{Object as _, ObjectSection};

use super::index;
use crate::error::{Error, Result};
use crate::host::cache::{self, Lock};
use crate::host::ui;
use crate::kernel::Kernel;
use crate::kernel::symbols::{Object, Symbols, VMLINUX, build_id};

/// The form of the index, in the name of its file.
const VERSION: u32 = 1;

/// What to do where debug information is missing.
#[must_use]
pub(crate) fn help(release: &str) -> String {
    format!(
        "`cargo klp doctor --fix --debug-info --kernel {release}` gets Debian's (1 GB), `--debug-info PATH` takes another"
    )
}

/// Arguments that name files with debug information.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DebugInfoArgs {
    /// A vmlinux or a .ko file with debug information (DWARF), which says where functions were inlined; may be given
    /// several times.
    ///
    /// It is read once, and known from then on. Not needed for what `doctor --fix --debug-info` got, for the
    /// `vmlinux` of a build directory, for modules that have their own, and for what stands in
    /// /usr/lib/debug/.build-id.
    #[arg(long = "debug-info", value_name = "PATH")]
    files: Vec<PathBuf>,
}

impl DebugInfoArgs {
    /// Reads the files, each of which must be of one of these kernels.
    pub(crate) fn read<'a>(
        &self,
        kernels: impl IntoIterator<Item = &'a Kernel> + Clone,
        modules: &[PathBuf],
    ) -> Result<()> {
        for file in &self.files {
            let mut others = Vec::new();
            let mut is_known = false;
            for kernel in kernels.clone() {
                match read(file, kernel, modules)? {
                    None => is_known = true,
                    Some(other) => others.push(other),
                }
            }
            if !is_known {
                return Err(Error::Request {
                    message: format!("`{}` is of another build: {}", file.display(), others.join("; ")),
                    help: "give the vmlinux or the module that was made in the same build, before it was stripped"
                        .into(),
                });
            }
        }
        Ok(())
    }
}

/// Reads a file that is to be of a kernel; if it is of another, says how that is known.
fn read(file: &Path, kernel: &Kernel, modules: &[PathBuf]) -> Result<Option<String>> {
    let data = fs::read(file).map_err(Error::io("read", file))?;
    let (id, has_debug_info) = describe(&*data)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let object = match name.split_once(".ko") {
        Some((stem, _)) => stem.replace('-', "_"),
        None => VMLINUX.into(),
    };
    if !has_debug_info {
        return Err(unreadable(file, "it has no debug information (DWARF)"));
    }
    let wanted = Symbols::of(kernel, modules)?.object(&object)?.build_id()?;
    if id.is_none() || id != wanted {
        let said = |id: Option<String>| id.unwrap_or_else(|| "none".into());
        let release = &kernel.release;
        return Ok(Some(format!(
            "its build ID is {}, that of {object} of {release} {}",
            said(id),
            said(wanted)
        )));
    }
    let _spinner = ui::spinner("Reading", format_args!("the debug information of {}", file.display()));
    import(&kernel.release, file, &data)?;
    Ok(None)
}

fn unreadable(file: &Path, why: impl std::fmt::Display) -> Error {
    Error::Request {
        message: format!("the debug information of `{}` can't be read: {why}", file.display()),
        help:
            "give a vmlinux or a .ko file as the kernel's build makes it with CONFIG_DEBUG_INFO, not stripped"
                .into(),
    }
}

/// The index of an object; `None` where no debug information of it is at hand.
pub(super) fn index_of(kernel: &Kernel, object: &Object<'_>) -> Result<Option<PathBuf>> {
    let Some(id) = object.build_id()? else { return Ok(None) };
    let entry = path(&kernel.release, &id)?;
    if entry.exists() {
        return Ok(Some(entry));
    }
    let (start, rest) = id.split_at(2);
    let installed = PathBuf::from(format!("/usr/lib/debug/.build-id/{start}/{rest}.debug"));
    let own = if object.name == VMLINUX { kernel.kdir.join(VMLINUX) } else { object.file().to_owned() };
    for file in [installed, own] {
        if !has_debug_info_of(&file, &id) {
            continue;
        }
        let _lock = Lock::beside(&entry)?;
        if entry.exists() {
            return Ok(Some(entry));
        }
        let _spinner = ui::spinner("Reading", format_args!("the debug information of {}", object.name));
        let data = fs::read(&file).map_err(Error::io("read", &file))?;
        match index::make(&data) {
            Ok(text) => store(&entry, &text)?,
            // It was not asked for, so the work goes on without it.
            Err(why) => {
                ui::warning(unreadable(&file, why));
                continue;
            }
        }
        return Ok(Some(entry));
    }
    Ok(None)
}

/// Takes the debug information of a vmlinux or a module into the cache, if it has any.
pub(super) fn import(release: &str, file: &Path, data: &[u8]) -> Result<()> {
    let (Some(id), true) = describe(data)? else { return Ok(()) };
    let entry = path(release, &id)?;
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

/// Whether a file is of this build and has debug information. One that is none, or packed, has not.
fn has_debug_info_of(file: &Path, id: &str) -> bool {
    let Ok(file) = fs::File::open(file) else { return false };
    describe(&ReadCache::new(file))
        .is_ok_and(|(found, has_debug_info)| has_debug_info && found.as_deref() == Some(id))
}

/// Where the indices of a kernel's objects are.
fn folder(release: &str) -> Result<PathBuf> {
    Ok(cache::root()?.join("debug-info").join(release))
}

/// A file that is newer than what was built before somebody gave debug information of a kernel.
///
/// What is found unasked while a patch is built is as old as the patch's own module, or the kernel's.
pub(crate) fn stamp(release: &str) -> Result<PathBuf> {
    Ok(folder(release)?.join("given"))
}

fn path(release: &str, id: &str) -> Result<PathBuf> {
    Ok(folder(release)?.join(format!("{id}-{VERSION}")))
}

/// Writes a file that is either whole or absent.
fn store(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().expect("an entry stands in a folder");
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let everyone = fs::Permissions::from_mode(0o644);
    let file = tempfile::Builder::new().permissions(everyone).tempfile_in(folder);
    let mut file = file.map_err(Error::io("create", folder))?;
    file.write_all(text.as_bytes()).map_err(Error::io("write", path))?;
    file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
    Ok(())
}
