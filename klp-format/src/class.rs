//! How a value is passed, as far as it can be compared: its kind and its size.

use core::fmt;

/// How the calling convention and the callee see a value.
///
/// As numbers they are letters, as the manifest has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ClassKind {
    /// No value.
    Void = b'v',
    /// A signed integer.
    Signed = b'i',
    /// An unsigned integer.
    Unsigned = b'u',
    /// `char`, of which some kernels have a signed one and some not.
    Char = b'c',
    /// An enumeration, whose sign nobody relies on.
    Enum = b'e',
    /// `bool`.
    Bool = b'b',
    /// A pointer.
    Pointer = b'p',
    /// A floating-point number.
    Float = b'f',
    /// A structure or union by value; of a replacement also any type that is not built in.
    Other = b'o',
    /// A replacement that never returns.
    Never = b'n',
}

/// A kind and a size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// The kind.
    pub kind: ClassKind,
    /// The size in bytes.
    pub size: u64,
}

impl Class {
    /// The class of a type of this size.
    #[must_use]
    pub const fn new(kind: ClassKind, size: u64) -> Self {
        Self { kind, size }
    }

    /// The number that stands for the class in the manifest: the letter of the kind, and the size above it.
    #[must_use]
    pub const fn encode(self) -> u64 {
        self.size << 8 | self.kind as u64
    }

    /// The class that a number of the manifest stands for.
    #[must_use]
    pub fn decode(number: u64) -> Option<Self> {
        use ClassKind::{Bool, Char, Enum, Float, Never, Other, Pointer, Signed, Unsigned, Void};
        let kinds = [Void, Signed, Unsigned, Char, Enum, Bool, Pointer, Float, Other, Never];
        let kind = kinds.into_iter().find(|&kind| kind as u64 == number & 0xff)?;
        Some(Self { kind, size: number >> 8 })
    }

    /// Whether a replacement may have `other` where the kernel has this.
    #[must_use]
    pub fn accepts(self, other: Self) -> bool {
        use ClassKind::{Bool, Char, Enum, Never, Other, Signed, Unsigned, Void};
        let kinds = match (self.kind, other.kind) {
            (_, Never) => return true,
            (Void, kind) => return kind == Void,
            (_, Void) => return false,
            // A type of the author's own: only its size is known.
            (_, Other) => true,
            // An author who does not trust a `bool` takes it as a byte.
            (Char | Enum, Signed | Unsigned) | (Bool, Unsigned) => true,
            (kernel, replacement) => kernel == replacement,
        };
        kinds && self.size == other.size
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = 8 * self.size;
        match self.kind {
            ClassKind::Void => f.write_str("nothing"),
            ClassKind::Signed => write!(f, "a signed integer of {bits} bits"),
            ClassKind::Unsigned => write!(f, "an unsigned integer of {bits} bits"),
            ClassKind::Char => f.write_str("a char"),
            ClassKind::Enum => write!(f, "an enumeration of {bits} bits"),
            ClassKind::Bool => f.write_str("a bool"),
            ClassKind::Pointer => f.write_str("a pointer"),
            ClassKind::Float => write!(f, "a floating-point number of {bits} bits"),
            ClassKind::Other => {
                write!(f, "a value of {} bytes that is neither integer nor pointer", self.size)
            }
            ClassKind::Never => f.write_str("never anything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn class(kind: ClassKind, size: u64) -> Class {
        Class { kind, size }
    }

    #[test]
    fn numbers_of_the_manifest() {
        assert_eq!(Class::decode(4 << 8 | u64::from(b'i')), Some(class(ClassKind::Signed, 4)));
        assert_eq!(Class::decode(u64::from(b'v')), Some(class(ClassKind::Void, 0)));
        assert_eq!(Class::decode(4 << 8 | u64::from(b'x')), None);
    }

    #[test]
    fn what_fits() {
        use ClassKind::*;
        for (kernel, replacement) in [
            (class(Signed, 4), class(Signed, 4)),
            (class(Enum, 4), class(Unsigned, 4)),
            (class(Char, 1), class(Signed, 1)),
            (class(Bool, 1), class(Unsigned, 1)),
            (class(Pointer, 8), class(Other, 8)),
            (class(Signed, 4), class(Never, 0)),
            (class(Void, 0), class(Never, 0)),
            (class(Void, 0), class(Void, 0)),
        ] {
            assert!(kernel.accepts(replacement), "{kernel} {replacement}");
        }
        for (kernel, replacement) in [
            (class(Signed, 4), class(Signed, 8)),
            (class(Signed, 4), class(Unsigned, 4)),
            (class(Unsigned, 8), class(Pointer, 8)),
            (class(Pointer, 8), class(Unsigned, 8)),
            (class(Unsigned, 1), class(Bool, 1)),
            (class(Other, 4), class(Unsigned, 4)),
            (class(Other, 4), class(Other, 8)),
            (class(Void, 0), class(Signed, 4)),
            (class(Void, 0), class(Other, 0)),
            (class(Signed, 4), class(Void, 0)),
        ] {
            assert!(!kernel.accepts(replacement), "{kernel} {replacement}");
        }
    }
}
