//! Byte order: integers of headers and disks.
//!
//! In a structure from `kernel_types!` a `__be16` is a `u16`, because BTF keeps no more of it: `u16::from_be(field)` is
//! its value (`ntohs`, `be16_to_cpu`), and `value.to_be()` what the field holds (`htons`, `cpu_to_be16`). In a structure
//! that a patch declares itself the types of this module keep the two apart, as C's do for sparse.
//!
//! ```
//! use klp_runtime::byteorder::{be16, get_unaligned};
//!
//! #[repr(C)]
//! struct Ports {
//!     source: be16,
//!     target: be16,
//! }
//!
//! let ports = Ports { source: be16::from_cpu(53), target: be16::from_raw(0x5000) };
//! assert_eq!(ports.source.raw(), 0x3500);
//! assert_eq!(ports.target.to_cpu(), 80);
//!
//! let bytes = [0x45, 0, 80, 0];
//! // SAFETY: There are two bytes.
//! let port: be16 = unsafe { get_unaligned(bytes.as_ptr().add(1)) };
//! assert_eq!(port.to_cpu(), 80);
//! ```

macro_rules! integers {
    ($($(#[$docs:meta])* $name:ident($integer:ty, $from:ident, $to:ident);)*) => {$(
        $(#[$docs])*
        #[allow(non_camel_case_types)]
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name($integer);

        impl $name {
            /// The value, in this order.
            #[inline(always)]
            #[must_use]
            pub const fn from_cpu(value: $integer) -> Self {
                Self(value.$to())
            }

            /// The value.
            #[inline(always)]
            #[must_use]
            pub const fn to_cpu(self) -> $integer {
                <$integer>::$from(self.0)
            }

            /// What a field of C holds.
            #[inline(always)]
            #[must_use]
            pub const fn from_raw(raw: $integer) -> Self {
                Self(raw)
            }

            /// What a field of C is to hold.
            #[inline(always)]
            #[must_use]
            pub const fn raw(self) -> $integer {
                self.0
            }
        }
    )*};
}

integers! {
    /// `__be16`: two bytes, the higher one first.
    be16(u16, from_be, to_be);
    /// `__be32`: four bytes, the highest first.
    be32(u32, from_be, to_be);
    /// `__be64`: eight bytes, the highest first.
    be64(u64, from_be, to_be);
    /// `__le16`: two bytes, the lower one first.
    le16(u16, from_le, to_le);
    /// `__le32`: four bytes, the lowest first.
    le32(u32, from_le, to_le);
    /// `__le64`: eight bytes, the lowest first.
    le64(u64, from_le, to_le);
}

/// Reads a value from wherever it is (`get_unaligned`, and with a type of this module `get_unaligned_be16` and its
/// like). Any context.
///
/// # Safety
///
/// `address` is of as many bytes as the type has, which are a value of it.
#[inline(always)]
#[must_use]
pub unsafe fn get_unaligned<T: Copy>(address: *const u8) -> T {
    // SAFETY: The caller has the bytes.
    unsafe { address.cast::<T>().read_unaligned() }
}

/// Writes a value to wherever it is to be (`put_unaligned`, `put_unaligned_be16` and its like). Any context.
///
/// # Safety
///
/// `address` is of as many bytes as the type has, which may be written to.
#[inline(always)]
pub unsafe fn put_unaligned<T: Copy>(value: T, address: *mut u8) {
    // SAFETY: The caller has the bytes.
    unsafe { address.cast::<T>().write_unaligned(value) }
}
