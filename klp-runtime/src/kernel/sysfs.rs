//! Files under `/sys/kernel`: what a patch shows and lets be set.

use core::ffi::{CStr, c_void};
use core::fmt::{self, Write};
use core::mem::{ManuallyDrop, transmute};
use core::ptr::{self, NonNull};
use core::slice;

use crate::error::{EFBIG, EINVAL, ENOMEM, Result, to_result};
use crate::module::sys;

/// What a file's text is written to, when it is read: a page, no more.
pub struct Text<'a> {
    page: &'a mut [u8],
    len: usize,
    is_full: bool,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.saturating_add(text.len());
        let Some(to) = self.page.get_mut(self.len..end) else {
            self.is_full = true;
            return Err(fmt::Error);
        };
        for (to, from) in to.iter_mut().zip(text.as_bytes()) {
            *to = *from;
        }
        self.len = end;
        Ok(())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Writes a file's text, when someone reads the file. Process context, may sleep.
///
/// The reader gets what it fails with; `EFBIG` where the text did not fit into a page.
pub type Show = fn(&mut Text<'_>) -> Result;

/// Takes what someone writes to a file, without the newline at the end. Process context, may sleep.
///
/// The writer gets what it fails with; `EINVAL` for what is no UTF-8, of which it is not told.
pub type Store = fn(&str) -> Result;

/// A directory of `/sys/kernel`, with files. Removed with them when it is dropped.
///
/// What is left when the module is unloaded, or its loading fails, is removed there, after the patch's
/// own exit function.
///
/// To drop it may sleep: it waits for the functions of its files that run, so it must not be dropped
/// under a lock that they take. Process context.
///
/// ```
/// use core::fmt::Write;
/// use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use klp_runtime::prelude::*;
/// use klp_runtime::sync::Mutex;
/// use klp_runtime::sysfs;
///
/// static PENDING: AtomicU32 = AtomicU32::new(3);
/// static DIRECTORY: Mutex<Option<sysfs::Directory>> = Mutex::new(None);
///
/// fn start() -> Result {
///     let directory = sysfs::Directory::new(c"livepatch_example")?
///         .file(c"npids", |text| Ok(writeln!(text, "{}", PENDING.load(Relaxed))?))?;
///     *DIRECTORY.lock() = Some(directory);
///     Ok(())
/// }
///
/// fn stop() {
///     drop(DIRECTORY.lock().take());
/// }
///
/// start()?;
/// assert_eq!(sysfs::read(c"livepatch_example", c"npids")?, "3\n");
/// stop();
/// assert_eq!(sysfs::read(c"livepatch_example", c"npids"), Err(ENOENT));
/// # Ok::<(), Error>(())
/// ```
pub struct Directory(NonNull<c_void>);

// SAFETY: The kernel's functions for it may be called by any task.
unsafe impl Send for Directory {}
// SAFETY: As above; nothing is done through a shared reference.
unsafe impl Sync for Directory {}

impl Directory {
    /// Makes the directory `/sys/kernel/NAME`. May sleep: process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, which is also what the kernel says of a name that is in use (and logs more).
    pub fn new(name: &CStr) -> Result<Self> {
        // SAFETY: The kernel copies the name.
        let directory = unsafe { sys::klp_glue_directory_new(name.as_ptr()) };
        NonNull::new(directory).map(Self).ok_or(ENOMEM)
    }

    /// Adds a file that all may read.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EEXIST` for a second file of that name. The directory is gone then.
    pub fn file(self, name: &'static CStr, show: Show) -> Result<Self> {
        self.add(name, show, None)
    }

    /// Adds a file that all may read and root may write.
    ///
    /// # Errors
    ///
    /// As for [`file`](Self::file).
    pub fn writable_file(self, name: &'static CStr, show: Show, store: Store) -> Result<Self> {
        self.add(name, show, Some(store))
    }

    fn add(self, name: &'static CStr, show: Show, store: Option<Store>) -> Result<Self> {
        let store = store.map_or(ptr::null(), |store| store as *const c_void);
        let show = show as *const c_void;
        // SAFETY: The name is a constant of the module; the kernel gives each function to its own caller,
        // while the directory is there.
        to_result(unsafe {
            sys::klp_glue_directory_add(self.0.as_ptr(), name.as_ptr(), call_show, show, call_store, store)
        })?;
        Ok(self)
    }

    /// Gives the directory up to the module: it stays until that is unloaded.
    pub fn keep(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: The directory is ours, and is dropped once.
        unsafe { sys::klp_glue_directory_remove(self.0.as_ptr()) }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

/// Calls a [`Show`]; the number of bytes, or a negative errno.
///
/// # Safety
///
/// `show` is one, and `page` has `size` initialised bytes that nobody else uses.
unsafe extern "C" fn call_show(show: *const c_void, page: *mut u8, size: usize) -> isize {
    // SAFETY: By contract.
    let (show, page) =
        unsafe { (transmute::<*const c_void, Show>(show), slice::from_raw_parts_mut(page, size)) };
    let mut text = Text { page, len: 0, is_full: false };
    let result = show(&mut text);
    match result {
        _ if text.is_full => EFBIG.to_errno() as isize,
        Ok(()) => text.len as isize,
        Err(error) => error.to_errno() as isize,
    }
}

/// Calls a [`Store`]; 0 or a negative errno.
///
/// # Safety
///
/// `store` is one, and `text` has `len` bytes.
unsafe extern "C" fn call_store(store: *const c_void, text: *const u8, len: usize) -> isize {
    // SAFETY: By contract.
    let (store, text) =
        unsafe { (transmute::<*const c_void, Store>(store), slice::from_raw_parts(text, len)) };
    let stored = match str::from_utf8(text) {
        Ok(text) => store(text.strip_suffix('\n').unwrap_or(text)),
        Err(_) => Err(EINVAL),
    };
    stored.map_or_else(|error| error.to_errno() as isize, |()| 0)
}

/// Reads a file as a process would, for tests on the host: of what this thread has made.
///
/// # Errors
///
/// `ENOENT` where there is none, or what its [`Show`] fails with.
#[cfg(not(target_os = "none"))]
pub fn read(directory: &CStr, file: &CStr) -> Result<std::string::String> {
    crate::host::read(directory, file)
}

/// Writes to a file as a process would, for tests on the host.
///
/// # Errors
///
/// `ENOENT` where there is none, `EACCES` for one that is not writable, or what its [`Store`] fails with.
#[cfg(not(target_os = "none"))]
pub fn write(directory: &CStr, file: &CStr, text: &str) -> Result {
    crate::host::write(directory, file, text)
}
