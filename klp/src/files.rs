//! Small files, most of them of sysfs and procfs.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::{Error, Result};

/// The text of a file without the white space around it; `None` if there is no such file, or the kernel has nothing
/// behind it any more. What is not UTF-8 in it is replaced: any user may give a task such a name.
///
/// # Errors
///
/// The file can't be read.
pub fn text(path: &Path) -> Result<Option<String>> {
    Ok(bytes(path)?.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

/// The contents of a file; `None` if there is none.
///
/// # Errors
///
/// The file can't be read.
pub fn bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    present(path, fs::read(path))
}

/// A file that has 0 or 1.
///
/// # Errors
///
/// The file can't be read.
pub fn flag(path: &Path) -> Result<Option<bool>> {
    Ok(text(path)?.map(|text| matches!(&*text, "1" | "Y")))
}

/// The names in a directory, sorted; none if there is no such directory.
///
/// # Errors
///
/// The directory can't be read.
pub fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = present(directory, fs::read_dir(directory))?;
    let names = entries.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

/// The names of directories in a directory, sorted; none if there is no such directory.
///
/// # Errors
///
/// The directory can't be read.
pub fn directories(directory: &Path) -> Result<Vec<String>> {
    let mut names = names(directory)?;
    names.retain(|name| directory.join(name).is_dir());
    Ok(names)
}

/// What is in sysfs and procfs may go at any time: the last two errors are those of a file whose object is gone.
fn present<T>(path: &Path, read: io::Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) if matches!(error.raw_os_error(), Some(ESRCH | ENODEV)) => Ok(None),
        Err(source) => Err(Error::io("read", path)(source)),
    }
}

const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();
const ENODEV: i32 = rustix::io::Errno::NODEV.raw_os_error();
