//! `/sys/kernel`, as the host has it.

use core::ffi::{CStr, c_char, c_int, c_void};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::machine;
use super::owner::Owner;
use crate::error::{EACCES, EEXIST, EINVAL, ENODEV, ENOENT, ENOMEM, Error, Result, to_result};
use crate::module::sys::{CallShow, CallStore};

/// The directories, by a number that stands for the address.
#[derive(Default)]
pub(crate) struct Directories {
    made: usize,
    directories: BTreeMap<usize, Directory>,
}

struct Directory {
    name: CString,
    owner: Owner,
    files: BTreeMap<CString, File>,
}

#[derive(Clone, Copy)]
struct File {
    call_show: CallShow,
    show: *const c_void,
    call_store: CallStore,
    store: *const c_void,
}

impl Directories {
    /// A file, and whose it is.
    fn file(&self, directory: &CStr, file: &CStr) -> Result<(File, Owner)> {
        let directory =
            self.directories.values().find(|made| made.name.as_c_str() == directory).ok_or(ENOENT)?;
        Ok((directory.files.get(file).copied().ok_or(ENOENT)?, directory.owner))
    }

    /// Removes what a module has made.
    #[cfg(feature = "sim")]
    pub(super) fn stop(&mut self, owner: Owner) {
        self.directories.retain(|_, directory| directory.owner != owner);
    }
}

/// # Safety
///
/// `name` is a string, and `to` may be written to.
pub(crate) unsafe extern "C" fn klp_glue_directory_new(name: *const c_char, to: *mut *mut c_void) -> c_int {
    // SAFETY: The caller passes a string.
    let name = unsafe { CStr::from_ptr(name) };
    let machine = machine();
    if machine.owners.is_stopped() {
        return ENODEV.to_errno();
    }
    let owner = machine.owners.running();
    let mut directories = machine.directories.borrow_mut();
    if directories.directories.values().any(|made| made.name.as_c_str() == name) {
        return ENOMEM.to_errno();
    }
    directories.made += 1;
    let made = directories.made;
    directories.directories.insert(made, Directory { name: name.into(), owner, files: BTreeMap::new() });
    // SAFETY: The caller lets it be written to.
    unsafe { to.write(made as *mut c_void) };
    0
}

/// # Safety
///
/// `name` is a string; each function may be called with the pointer behind it.
pub(crate) unsafe extern "C" fn klp_glue_directory_add(
    directory: *mut c_void,
    name: *const c_char,
    call_show: CallShow,
    show: *const c_void,
    call_store: CallStore,
    store: *const c_void,
) -> c_int {
    // SAFETY: The caller passes a string.
    let name = unsafe { CStr::from_ptr(name) };
    let machine = machine();
    if machine.owners.is_stopped() {
        return ENODEV.to_errno();
    }
    let mut directories = machine.directories.borrow_mut();
    let Some(directory) = directories.directories.get_mut(&(directory as usize)) else {
        return EINVAL.to_errno();
    };
    if directory.files.contains_key(name) {
        return EEXIST.to_errno();
    }
    directory.files.insert(name.into(), File { call_show, show, call_store, store });
    0
}

/// # Safety
///
/// None: it is unsafe as the kernel's is.
pub(crate) unsafe extern "C" fn klp_glue_directory_remove(directory: *mut c_void) {
    let machine = machine();
    let removed = machine.directories.borrow_mut().directories.remove(&(directory as usize));
    // The stop of a module has removed all of its own.
    if removed.is_none() && !machine.owners.is_stopped() {
        machine.fault("a directory of sysfs was removed that is not there");
    }
}

/// As much as the kernel gives a reader.
const LONGEST: usize = 4095;

/// Behind [`crate::sysfs::read`].
pub(crate) fn read(directory: &CStr, file: &CStr) -> Result<String> {
    let machine = machine();
    let (file, owner) = machine.directories.borrow().file(directory, file)?;
    let mut page = vec![0; LONGEST];
    // SAFETY: The function is the file's, the page has as many bytes.
    let show = || unsafe { (file.call_show)(file.show, page.as_mut_ptr(), page.len()) };
    let len = machine.owners.run(owner, show);
    page.truncate(usize::try_from(len).map_err(|_| error(len))?);
    String::from_utf8(page).map_err(|_| EINVAL)
}

/// Behind [`crate::sysfs::write`].
pub(crate) fn write(directory: &CStr, file: &CStr, text: &str) -> Result {
    let machine = machine();
    let (file, owner) = machine.directories.borrow().file(directory, file)?;
    if file.store.is_null() {
        return Err(EACCES);
    }
    let text: Vec<u8> = text.into();
    // SAFETY: The function is the file's, the text has as many bytes.
    let store = || unsafe { (file.call_store)(file.store, text.as_ptr(), text.len()) };
    let stored = machine.owners.run(owner, store);
    to_result(c_int::try_from(stored).unwrap_or(0)).map(|_| ())
}

fn error(errno: isize) -> Error {
    c_int::try_from(errno).map_or(EINVAL, Error::from_errno)
}
