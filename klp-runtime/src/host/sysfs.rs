//! `/sys/kernel`, as the host has it.

use core::ffi::{CStr, c_char, c_int, c_void};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::machine;
use crate::error::{EACCES, EEXIST, EINVAL, ENOENT, Error, Result, to_result};
use crate::module::sys::{CallShow, CallStore};

/// The folders, by a number that stands for the address.
#[derive(Default)]
pub(crate) struct Folders {
    made: usize,
    folders: BTreeMap<usize, Folder>,
}

struct Folder {
    name: CString,
    files: BTreeMap<CString, File>,
}

#[derive(Clone, Copy)]
struct File {
    call_show: CallShow,
    show: *const c_void,
    call_store: CallStore,
    store: *const c_void,
}

impl Folders {
    fn file(&self, folder: &CStr, file: &CStr) -> Result<File> {
        let folder = self.folders.values().find(|made| made.name.as_c_str() == folder).ok_or(ENOENT)?;
        folder.files.get(file).copied().ok_or(ENOENT)
    }
}

pub(crate) unsafe extern "C" fn klp_glue_folder_new(name: *const c_char) -> *mut c_void {
    // SAFETY: A string, by contract.
    let name = unsafe { CStr::from_ptr(name) };
    let machine = machine();
    let mut folders = machine.folders.borrow_mut();
    if folders.folders.values().any(|made| made.name.as_c_str() == name) {
        return core::ptr::null_mut();
    }
    folders.made += 1;
    let made = folders.made;
    folders.folders.insert(made, Folder { name: name.into(), files: BTreeMap::new() });
    made as *mut c_void
}

pub(crate) unsafe extern "C" fn klp_glue_folder_add(
    folder: *mut c_void,
    name: *const c_char,
    call_show: CallShow,
    show: *const c_void,
    call_store: CallStore,
    store: *const c_void,
) -> c_int {
    // SAFETY: A string, by contract.
    let name = unsafe { CStr::from_ptr(name) };
    let machine = machine();
    let mut folders = machine.folders.borrow_mut();
    let Some(folder) = folders.folders.get_mut(&(folder as usize)) else { return EINVAL.to_errno() };
    if folder.files.contains_key(name) {
        return EEXIST.to_errno();
    }
    folder.files.insert(name.into(), File { call_show, show, call_store, store });
    0
}

pub(crate) unsafe extern "C" fn klp_glue_folder_remove(folder: *mut c_void) {
    if machine().folders.borrow_mut().folders.remove(&(folder as usize)).is_none() {
        machine().fault("a folder of sysfs was removed that is not there");
    }
}

/// As much as the kernel gives a reader.
const PAGE_SIZE: usize = 4096;

/// Behind [`crate::sysfs::read`].
pub(crate) fn read(folder: &CStr, file: &CStr) -> Result<String> {
    let file = machine().folders.borrow().file(folder, file)?;
    let mut page = vec![0; PAGE_SIZE];
    // SAFETY: The function is the file's, the page has as many bytes.
    let len = unsafe { (file.call_show)(file.show, page.as_mut_ptr(), page.len()) };
    page.truncate(usize::try_from(len).map_err(|_| error(len))?);
    String::from_utf8(page).map_err(|_| EINVAL)
}

/// Behind [`crate::sysfs::write`].
pub(crate) fn write(folder: &CStr, file: &CStr, text: &str) -> Result {
    let file = machine().folders.borrow().file(folder, file)?;
    if file.store.is_null() {
        return Err(EACCES);
    }
    let text: Vec<u8> = text.into();
    // SAFETY: As above.
    let stored = unsafe { (file.call_store)(file.store, text.as_ptr(), text.len()) };
    to_result(c_int::try_from(stored).unwrap_or(0)).map(|_| ())
}

fn error(errno: isize) -> Error {
    c_int::try_from(errno).map_or(EINVAL, Error::from_errno)
}
