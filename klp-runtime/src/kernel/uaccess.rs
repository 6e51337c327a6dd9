//! Memory of processes: `copy_from_user`, `copy_to_user`, `get_user`, `put_user` and `strncpy_from_user`.
//!
//! A [`UserSlice`] is an address and a length that a process gave, say as arguments of a system call. Reading and
//! writing it is safe whatever the address is. What was read once is not read again: each read goes on where the last
//! one ended, so that what was checked is what is used, whatever the process writes meanwhile.
//!
//! All of it may sleep: process context only.
//!
//! ```
//! use klp_runtime::prelude::*;
//! use klp_runtime::uaccess::{UserPtr, UserSlice};
//!
//! /// Adds up numbers that a process has, as many as it says first.
//! fn total(address: UserPtr, len: usize) -> Result<u64> {
//!     let mut reader = UserSlice::new(address, len).reader();
//!     let count = reader.read::<u32>()?;
//!     let mut total = 0;
//!     for _ in 0..count {
//!         total += u64::from(reader.read::<u32>()?);
//!     }
//!     Ok(total)
//! }
//!
//! let numbers = [2_u32, 30, 4];
//! let address = UserPtr::from_addr(&raw const numbers as usize);
//! assert_eq!(total(address, size_of_val(&numbers)), Ok(34));
//! assert_eq!(total(address, 8), Err(EFAULT));
//! ```

use core::ffi::{CStr, c_long, c_void};
use core::mem::MaybeUninit;

use crate::alloc::{Gfp, KVBox, Zeroable};
use crate::byteorder::{be16, be32, be64, le16, le32, le64};
use crate::error::{EFAULT, EINVAL, Result};
use crate::module::wrappers;

/// An address in a process. It is never read or written as the kernel's own memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct UserPtr(*mut c_void);

// SAFETY: The null pointer.
unsafe impl Zeroable for UserPtr {}

impl UserPtr {
    /// The address that a number is, such as an argument of a system call.
    #[must_use]
    pub const fn from_addr(address: usize) -> Self {
        Self(address as *mut c_void)
    }

    /// The address that a pointer is, such as a field that C has as `__user`: where a kernel's BTF does not say so, the
    /// author may, and `kernel_types! { struct iovec { iov_base: __user } }` makes the field a `UserPtr`.
    #[must_use]
    pub const fn from_ptr<T>(pointer: *mut T) -> Self {
        Self(pointer.cast())
    }

    /// The address so many bytes behind.
    #[must_use]
    pub const fn wrapping_byte_add(self, bytes: usize) -> Self {
        Self(self.0.wrapping_byte_add(bytes))
    }
}

/// A type that any bytes are a value of: integers, arrays of them, and structures of them.
///
/// # Safety
///
/// Any bytes are a value of the type.
#[diagnostic::on_unimplemented(
    message = "not all bytes are a value of `{Self}`",
    note = "write `unsafe impl klp_runtime::uaccess::FromBytes for {Self} {{}}` where they are"
)]
pub unsafe trait FromBytes {}

/// A type whose values are bytes, without padding between them: integers, arrays of them, and structures of them.
///
/// # Safety
///
/// All bytes of a value are initialised.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may have bytes that nobody has written, which a process must not see",
    note = "write `unsafe impl klp_runtime::uaccess::AsBytes for {Self} {{}}` where it has no padding"
)]
pub unsafe trait AsBytes {}

macro_rules! bytes {
    ($($ty:ty),*) => {$(
        // SAFETY: An integer.
        unsafe impl FromBytes for $ty {}
        // SAFETY: An integer.
        unsafe impl AsBytes for $ty {}
    )*};
}

bytes!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, be16, be32, be64, le16, le32, le64);

// SAFETY: Each element is of any bytes.
unsafe impl<T: FromBytes, const N: usize> FromBytes for [T; N] {}
// SAFETY: An array has nothing between its elements.
unsafe impl<T: AsBytes, const N: usize> AsBytes for [T; N] {}

/// Memory of a process that can be read, written or both: an address and a length, neither of them checked.
#[derive(Debug)]
pub struct UserSlice {
    address: UserPtr,
    len: usize,
}

impl UserSlice {
    /// So many bytes from an address on. Any context: nothing is read yet.
    #[must_use]
    pub const fn new(address: UserPtr, len: usize) -> Self {
        Self { address, len }
    }

    /// What reads it.
    #[must_use]
    pub const fn reader(self) -> UserSliceReader {
        UserSliceReader(self)
    }

    /// What writes it.
    #[must_use]
    pub const fn writer(self) -> UserSliceWriter {
        UserSliceWriter(self)
    }

    /// What reads it, and what writes it.
    #[must_use]
    pub const fn reader_writer(self) -> (UserSliceReader, UserSliceWriter) {
        let Self { address, len } = self;
        (Self { address, len }.reader(), Self { address, len }.writer())
    }

    /// All of it (`memdup_user`).
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFAULT` where the process has no such memory.
    pub fn read_all(self, gfp: Gfp) -> Result<KVBox<[u8]>> {
        let mut bytes = KVBox::<[u8]>::zeroed(self.len, gfp)?;
        self.reader().read_slice(&mut bytes)?;
        Ok(bytes)
    }

    /// Takes so many bytes from the front.
    fn take(&mut self, len: usize) -> Result<UserPtr> {
        let address = self.address;
        self.len = self.len.checked_sub(len).ok_or(EFAULT)?;
        self.address = address.wrapping_byte_add(len);
        Ok(address)
    }
}

/// Reads a [`UserSlice`] from its start on.
#[derive(Debug)]
pub struct UserSliceReader(UserSlice);

impl UserSliceReader {
    /// How many bytes are left to read.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len
    }

    /// Whether none is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Leaves bytes out.
    ///
    /// # Errors
    ///
    /// `EFAULT` where there are fewer.
    pub fn skip(&mut self, len: usize) -> Result {
        self.0.take(len).map(drop)
    }

    /// Reads as many bytes as there is room for.
    ///
    /// # Errors
    ///
    /// `EFAULT` where there are fewer, or the process has no such memory; some may have been read.
    pub fn read_slice(&mut self, bytes: &mut [u8]) -> Result {
        let from = self.0.take(bytes.len())?;
        // SAFETY: There is room for the bytes; the kernel checks the address of the process.
        let left =
            unsafe { wrappers::klp_glue_copy_from_user(bytes.as_mut_ptr().cast(), from.0, bytes.len()) };
        if left == 0 { Ok(()) } else { Err(EFAULT) }
    }

    /// Reads a value (`get_user`).
    ///
    /// # Errors
    ///
    /// `EFAULT` where there are fewer bytes, or the process has no such memory.
    pub fn read<T: FromBytes>(&mut self) -> Result<T> {
        let from = self.0.take(size_of::<T>())?;
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: There is room for a value; the kernel checks the address of the process.
        if !unsafe { wrappers::klp_glue_get_user(value.as_mut_ptr().cast(), from.0, size_of::<T>()) } {
            return Err(EFAULT);
        }
        // SAFETY: All its bytes were read, and any bytes are a value.
        Ok(unsafe { value.assume_init() })
    }

    /// Reads a string up to its NUL, and ends it with one (`strncpy_from_user`). A string that the buffer has no room for
    /// is cut.
    ///
    /// # Errors
    ///
    /// `EFAULT` where the process has no such memory, or the bytes end before the string and the buffer do; `EINVAL` for
    /// an empty buffer.
    pub fn strcpy_into_buf(self, buffer: &mut [u8]) -> Result<&CStr> {
        let room = buffer.len().min(self.len());
        let Some(last) = buffer.len().checked_sub(1) else { return Err(EINVAL) };
        let bytes = c_long::try_from(room).map_err(|_| EFAULT)?;
        // SAFETY: There is room for the bytes; the kernel checks the address of the process.
        let len = unsafe {
            wrappers::strncpy_from_user(buffer.as_mut_ptr().cast(), self.0.address.0.cast(), bytes)
        };
        let len = usize::try_from(len).map_err(|_| EFAULT)?;
        if len >= room {
            if room <= last {
                return Err(EFAULT);
            }
            if let Some(byte) = buffer.get_mut(last) {
                *byte = 0;
            }
        }
        CStr::from_bytes_until_nul(buffer).map_err(|_| EFAULT)
    }
}

/// Writes a [`UserSlice`] from its start on.
#[derive(Debug)]
pub struct UserSliceWriter(UserSlice);

impl UserSliceWriter {
    /// For how many bytes there is room.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Writes bytes.
    ///
    /// # Errors
    ///
    /// `EFAULT` where there is no room for them, or the process has no such memory; some may have been written.
    pub fn write_slice(&mut self, bytes: &[u8]) -> Result {
        let to = self.0.take(bytes.len())?;
        // SAFETY: The bytes are here; the kernel checks the address of the process.
        let left = unsafe { wrappers::klp_glue_copy_to_user(to.0, bytes.as_ptr().cast(), bytes.len()) };
        if left == 0 { Ok(()) } else { Err(EFAULT) }
    }

    /// Writes a value (`put_user`).
    ///
    /// # Errors
    ///
    /// `EFAULT` where there is no room for it, or the process has no such memory.
    pub fn write<T: AsBytes>(&mut self, value: &T) -> Result {
        let to = self.0.take(size_of::<T>())?;
        let value = (&raw const *value).cast();
        // SAFETY: The value is here, and all its bytes are initialised; the kernel checks the address of the process.
        if unsafe { wrappers::klp_glue_put_user(to.0, value, size_of::<T>()) } { Ok(()) } else { Err(EFAULT) }
    }
}
