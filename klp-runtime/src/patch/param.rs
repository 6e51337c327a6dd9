//! Module parameters, which are set when the module is loaded and by sysfs.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_uint};
use core::fmt;

use klp_format::ParamKind;

/// A module parameter of one value.
///
/// A `static` with [`#[klp_param]`](macro@crate::klp_param):
///
/// ```standalone_crate
/// use klp_runtime::prelude::*;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// /// How many times to try.
/// #[klp_param(permissions = 0o644)]
/// static TRIES: Param<u32> = Param::new(3);
///
/// fn more() -> bool {
///     TRIES.get() > 1
/// }
/// # fn main() {}
/// ```
///
/// `insmod fix.ko tries=5` sets it before anything of the patch runs, and with
/// these permissions root sets it later by `/sys/module/fix/parameters/tries`.
#[repr(transparent)]
pub struct Param<T>(UnsafeCell<T>);

// SAFETY: All access is to one aligned word or less, by volatile loads and stores that do not tear, as
// the kernel's own code has it (`READ_ONCE`).
unsafe impl<T: ParamType> Sync for Param<T> {}

impl<T: ParamType> Param<T> {
    /// A parameter with a default value.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The current value. Any context; a parameter that sysfs may write to can change at any time.
    #[inline]
    #[must_use]
    pub fn get(&self) -> T {
        // SAFETY: The kernel writes whole values of the type.
        unsafe { self.0.get().read_volatile() }
    }

    /// Sets the value, which sysfs shows. Any context.
    #[inline]
    pub fn set(&self, value: T) {
        // SAFETY: One aligned store, which does not tear where the kernel reads meanwhile.
        unsafe { self.0.get().write_volatile(value) }
    }
}

impl<T: ParamType + fmt::Debug> fmt::Debug for Param<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A module parameter of up to `N` values: `insmod fix.ko pids=1,2,3`.
///
/// ```standalone_crate
/// use klp_runtime::prelude::*;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// /// The processes to watch.
/// #[klp_param]
/// static PIDS: ParamArray<i32, 16> = ParamArray::new([0; 16]);
///
/// fn is_watched(pid: i32) -> bool {
///     PIDS.iter().any(|other| other == pid)
/// }
/// # fn main() {}
/// ```
#[repr(C)]
pub struct ParamArray<T, const N: usize> {
    len: UnsafeCell<c_uint>,
    values: [UnsafeCell<T>; N],
}

// SAFETY: The length and each value are one aligned word or less, by volatile loads and stores that do not
// tear.
unsafe impl<T: ParamType, const N: usize> Sync for ParamArray<T, N> {}

impl<T: ParamType, const N: usize> ParamArray<T, N> {
    /// A parameter without values, with room for as many as these. `values` fills the room.
    #[must_use]
    pub const fn new(values: [T; N]) -> Self {
        // SAFETY: A cell has the layout of what is in it; `T` is `Copy`, so nothing is dropped twice.
        let values = unsafe { (&raw const values).cast::<[UnsafeCell<T>; N]>().read() };
        Self { len: UnsafeCell::new(0), values }
    }

    /// The number of values that were given.
    #[must_use]
    pub fn len(&self) -> usize {
        // SAFETY: The kernel writes whole values of the type.
        let len = unsafe { self.len.get().read_volatile() };
        (len as usize).min(N)
    }

    /// Whether no value was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of the values that were given.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        let value = self.values.get(index).filter(|_| index < self.len())?;
        // SAFETY: The kernel writes whole values of the type.
        Some(unsafe { value.get().read_volatile() })
    }

    /// Sets one of the values that were given. Returns false, and sets nothing, where the index is too high.
    pub fn set(&self, index: usize, value: T) -> bool {
        let place = self.values.get(index).filter(|_| index < self.len());
        if let Some(place) = place {
            // SAFETY: One aligned store, which does not tear where the kernel reads meanwhile.
            unsafe { place.get().write_volatile(value) }
        }
        place.is_some()
    }

    /// The values that were given.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<T: ParamType + fmt::Debug, const N: usize> fmt::Debug for ParamArray<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A type of the kernel's module parameters (`include/linux/moduleparam.h`).
///
/// # Safety
///
/// It has the layout of the C type that the kernel's parameter type
/// [`KIND`](Self::KIND) stands for, and every value that the kernel writes is one of it.
#[diagnostic::on_unimplemented(
    message = "the kernel has no module parameters of type `{Self}`",
    note = "it has `bool`, `InvBool`, `u8`, `i16`, `u16`, `i32`, `u32`, `HexInt`, `i64`, `u64` and `CharP`"
)]
pub unsafe trait ParamType: Copy + 'static {
    /// Which of the kernel's types.
    #[doc(hidden)]
    const KIND: ParamKind;
    /// Whether sysfs may write to it while code reads it.
    #[doc(hidden)]
    const WRITABLE: bool = true;
}

macro_rules! kinds {
    ($($ty:ty = $kind:ident,)*) => {$(
        // SAFETY: On x86-64 these are the C types that the kernel has for the kinds.
        unsafe impl ParamType for $ty {
            const KIND: ParamKind = ParamKind::$kind;
        }
    )*};
}

kinds! {
    u8 = Byte, i16 = Short, u16 = UnsignedShort, i32 = Int, u32 = UnsignedInt, i64 = Long,
    u64 = UnsignedLong, bool = Bool, InvBool = InvBool, HexInt = HexInt,
}

/// The kernel's `hexint`: a `u32` that sysfs shows in base 16.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HexInt(pub u32);

/// The kernel's `invbool`: a `bool` whose opposite sysfs shows and takes.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InvBool(pub bool);

/// The kernel's `charp`: a string.
///
/// The kernel frees the old string when another is written, so sysfs may not
/// write to a parameter of this type.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CharP(*const c_char);

// SAFETY: A pointer, as `char *` is.
unsafe impl ParamType for CharP {
    const KIND: ParamKind = ParamKind::CharP;
    const WRITABLE: bool = false;
}

impl CharP {
    /// The default string.
    #[must_use]
    pub const fn new(text: &'static CStr) -> Self {
        Self(text.as_ptr())
    }

    /// The string, as long as the module is loaded.
    #[must_use]
    pub fn as_c_str(&self) -> &'static CStr {
        // SAFETY: A constant, or what the kernel keeps for the module: nobody writes to the parameter.
        unsafe { CStr::from_ptr(self.0) }
    }
}

impl fmt::Debug for CharP {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_c_str().fmt(f)
    }
}

/// What `#[klp_param]` may stand on.
///
/// # Safety
///
/// It has the layout of a `Type`, or, where `LEN` is not 0, of an `unsigned int` and `LEN` of them, all of which the
/// kernel may write to.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the type of a module parameter",
    note = "write `static NAME: Param<u32> = Param::new(0);`, or `ParamArray<u32, 16>`"
)]
pub unsafe trait Parameter: Sync {
    /// The type of its values.
    type Type: ParamType;
    /// The most values of an array; 0 for a single value.
    const LEN: usize;
}

// SAFETY: A transparent cell of one value.
unsafe impl<T: ParamType> Parameter for Param<T> {
    type Type = T;
    const LEN: usize = 0;
}

// SAFETY: Cells of the length and of the values, as C has them.
unsafe impl<T: ParamType, const N: usize> Parameter for ParamArray<T, N> {
    type Type = T;
    const LEN: usize = N;
}
