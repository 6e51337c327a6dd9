//! Errors as the kernel has them: errno values.

use core::ffi::{CStr, c_int};
use core::fmt;

/// An errno: what a callback or a constructor fails with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(c_int);

/// A result whose error is an errno.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

impl Error {
    /// From a negative errno, as C functions return it; anything else becomes `EINVAL`.
    #[must_use]
    pub const fn from_errno(errno: c_int) -> Self {
        if errno < 0 && errno >= -MAX_ERRNO { Self(errno) } else { EINVAL }
    }

    /// The negative errno.
    #[must_use]
    pub const fn to_errno(self) -> c_int {
        self.0
    }

    /// The errno as a function of C returns it in place of a pointer (`ERR_PTR`).
    #[must_use]
    pub const fn to_ptr<T>(self) -> *mut T {
        core::ptr::without_provenance_mut(self.0 as usize)
    }
}

/// `Ok` for 0 and above, the error for a negative errno.
///
/// # Errors
///
/// What the errno says.
pub const fn to_result(errno: c_int) -> Result<c_int> {
    if errno < 0 { Err(Error::from_errno(errno)) } else { Ok(errno) }
}

/// What a function of C returns for a result: the value, or the negative errno.
///
/// ```
/// use klp_runtime::prelude::*;
///
/// extern "C" fn half(number: c_int) -> c_long {
///     from_result(|| {
///         if number % 2 != 0 {
///             return Err(EINVAL);
///         }
///         Ok(c_long::from(number / 2))
///     })
/// }
///
/// assert_eq!((half(8), half(7)), (4, -22));
/// ```
#[inline(always)]
pub fn from_result<T: From<i16>>(function: impl FnOnce() -> Result<T>) -> T {
    // An errno is above -4096.
    function().unwrap_or_else(|error| T::from(error.0 as i16))
}

/// `Ok` for a pointer, which may be null, the error for an errno in its place (`IS_ERR`, `PTR_ERR`).
///
/// ```
/// use core::ptr;
/// use klp_runtime::error::from_err_ptr;
/// use klp_runtime::prelude::*;
///
/// assert_eq!(from_err_ptr(ENOENT.to_ptr::<u8>()), Err(ENOENT));
/// assert_eq!(from_err_ptr(ptr::null_mut::<u8>()), Ok(ptr::null_mut()));
/// ```
///
/// # Errors
///
/// What the errno says.
#[inline]
pub fn from_err_ptr<T>(pointer: *mut T) -> Result<*mut T> {
    let address = pointer.addr() as isize;
    if (-(MAX_ERRNO as isize)..0).contains(&address) { Err(Error(address as c_int)) } else { Ok(pointer) }
}

/// The highest errno, as `include/linux/err.h` has it.
const MAX_ERRNO: c_int = 4095;

macro_rules! errnos {
    ($($name:ident = $errno:literal, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub const $name: Error = Error(-$errno);
        )*

        impl Error {
            /// The errno's name, if it is one of this module's.
            #[must_use]
            pub const fn name(self) -> Option<&'static CStr> {
                match -self.0 {
                    $($errno => {
                        // SAFETY: The literal ends with its only NUL.
                        Some(unsafe {
                            CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes())
                        })
                    })*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    EPERM = 1, "Operation not permitted.";
    ENOENT = 2, "No such file or directory.";
    ESRCH = 3, "No such process.";
    EINTR = 4, "Interrupted system call.";
    EIO = 5, "I/O error.";
    ENXIO = 6, "No such device or address.";
    E2BIG = 7, "Argument list too long.";
    EBADF = 9, "Bad file number.";
    ECHILD = 10, "No child processes.";
    EAGAIN = 11, "Try again.";
    ENOMEM = 12, "Out of memory.";
    EACCES = 13, "Permission denied.";
    EFAULT = 14, "Bad address.";
    EBUSY = 16, "Device or resource busy.";
    EEXIST = 17, "File exists.";
    ENODEV = 19, "No such device.";
    ENOTDIR = 20, "Not a directory.";
    EISDIR = 21, "Is a directory.";
    EINVAL = 22, "Invalid argument.";
    ENFILE = 23, "File table overflow.";
    EMFILE = 24, "Too many open files.";
    ENOTTY = 25, "Not a typewriter.";
    EFBIG = 27, "File too large.";
    ENOSPC = 28, "No space left on device.";
    EROFS = 30, "Read-only file system.";
    EPIPE = 32, "Broken pipe.";
    EDOM = 33, "Math argument out of domain of function.";
    ERANGE = 34, "Math result not representable.";
    EDEADLK = 35, "Resource deadlock would occur.";
    ENAMETOOLONG = 36, "File name too long.";
    ENOSYS = 38, "Invalid system call number.";
    EOVERFLOW = 75, "Value too large for defined data type.";
    EOPNOTSUPP = 95, "Operation not supported.";
    ETIMEDOUT = 110, "Connection timed out.";
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name().and_then(|name| name.to_str().ok()) {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", -self.0),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for Error {}

/// `EINVAL`: formatting says no more.
impl From<fmt::Error> for Error {
    fn from(_: fmt::Error) -> Self {
        EINVAL
    }
}
