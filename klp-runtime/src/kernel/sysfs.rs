//! Files under `/sys/kernel`, through which a patch shows and accepts values.

use core::ffi::{CStr, c_void};
use core::fmt::{self, Write};
use core::mem::{ManuallyDrop, transmute};
use core::ptr::{self, NonNull};
use core::slice;

use crate::error::{EFBIG, EINVAL, ENOMEM, Result, to_result};
use crate::module::sys;

/// Takes the text of a file that is being read: at most 4,095 bytes, a page less one byte.
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

/// Writes a file's text when a process reads the file. Process context; may sleep.
///
/// The reader gets the error that it returns, or `EFBIG` if the text is longer than 4,095 bytes. It must not load a
/// module or wait for one that does: the patch can't be disabled while it runs.
pub type Show = fn(&mut Text<'_>) -> Result;

/// Takes the text that a process writes to a file, without the newline at its end. Context and limits as
/// for [`Show`].
///
/// The writer gets the error that it returns. Text that is not UTF-8 is refused with `EINVAL` before the call.
pub type Store = fn(&str) -> Result;

/// A directory of `/sys/kernel`, with files. It is removed with its files when it is dropped, and at the
/// latest when its patch is stopped ([S17](crate::lifecycle#s17)).
///
/// A patch is stopped when it is disabled, when another one has replaced it, when its enabling is taken
/// back, and when its module is unloaded. The stop waits for the functions of the files that run, before the
/// first `post_unpatch` and before a newer patch's `take_over`, which may make a directory of the same name.
/// A stopped patch can't make another one. Meanwhile no patch can be enabled or disabled, and a forced transition waits
/// as well: a wait in such a function needs a limit.
///
/// Dropping it waits for these functions too, so drop it only in process context, and not under a lock that they
/// take. A function that drops its own directory would wait for itself: the directory stays until the patch is
/// stopped, and one line in the log says so.
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
// SAFETY: Nothing is done through a shared reference.
unsafe impl Sync for Directory {}

impl Directory {
    /// Makes the directory `/sys/kernel/NAME`. May sleep: process context only.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if the name is in use: the kernel returns no other error, but logs that one. `ENODEV` if the
    /// patch is stopped. `EINVAL` for an empty name, which the kernel would warn of, or one with a `/`.
    pub fn new(name: &CStr) -> Result<Self> {
        check_name(name)?;
        let mut directory = ptr::null_mut();
        // SAFETY: The kernel copies the name, and the glue writes to the pointer before it returns.
        to_result(unsafe { sys::klp_glue_directory_new(name.as_ptr(), &raw mut directory) })?;
        NonNull::new(directory).map(Self).ok_or(ENOMEM)
    }

    /// Adds a file that everybody may read.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EEXIST` for a second file of that name; `ENODEV` where the patch is stopped; `EINVAL` for an empty
    /// name or one with a `/`, for which nobody could list the directory. After an error the directory is gone.
    pub fn file(self, name: &'static CStr, show: Show) -> Result<Self> {
        self.add(name, show, None)
    }

    /// Adds a file that everybody may read and root may write.
    ///
    /// # Errors
    ///
    /// As for [`file`](Self::file).
    pub fn writable_file(self, name: &'static CStr, show: Show, store: Store) -> Result<Self> {
        self.add(name, show, Some(store))
    }

    fn add(self, name: &'static CStr, show: Show, store: Option<Store>) -> Result<Self> {
        check_name(name)?;
        let store = store.map_or(ptr::null(), |store| store as *const c_void);
        let show = show as *const c_void;
        // SAFETY: The directory is ours. The name is a constant of the module, and the glue passes each function
        // to the caller beside it, until the directory is removed.
        to_result(unsafe {
            sys::klp_glue_directory_add(self.0.as_ptr(), name.as_ptr(), call_show, show, call_store, store)
        })?;
        Ok(self)
    }

    /// Leaves the directory to the runtime: it stays until the patch is stopped.
    pub fn keep(self) {
        let _ = ManuallyDrop::new(self);
    }
}

/// Refuses what is no name of a file.
fn check_name(name: &CStr) -> Result {
    let is_name = !name.is_empty() && !name.to_bytes().contains(&b'/');
    if is_name { Ok(()) } else { Err(EINVAL) }
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
    // SAFETY: `add` made the pointer of a `Show`; the caller lends `size` bytes.
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
    // SAFETY: `add` made the pointer of a `Store`; the caller lends `len` bytes.
    let (store, text) =
        unsafe { (transmute::<*const c_void, Store>(store), slice::from_raw_parts(text, len)) };
    let stored = match core::str::from_utf8(text) {
        Ok(text) => store(text.strip_suffix('\n').unwrap_or(text)),
        Err(_) => Err(EINVAL),
    };
    stored.map_or_else(|error| error.to_errno() as isize, |()| 0)
}

/// Reads a file that this thread has made, as a process would: for tests on the host.
///
/// # Errors
///
/// `ENOENT` where the file does not exist, or the error that its [`Show`] returns.
#[cfg(not(target_os = "none"))]
pub fn read(directory: &CStr, file: &CStr) -> Result<std::string::String> {
    crate::host::read(directory, file)
}

/// Writes to a file that this thread has made, as a process would: for tests on the host.
///
/// # Errors
///
/// `ENOENT` where the file does not exist, `EACCES` where it is not writable, or the error that its [`Store`]
/// returns.
#[cfg(not(target_os = "none"))]
pub fn write(directory: &CStr, file: &CStr, text: &str) -> Result {
    crate::host::write(directory, file, text)
}
