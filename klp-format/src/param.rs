//! The kernel's types of module parameters.

/// A type of module parameters: a number in the manifest, a name to the kernel's macros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ParamKind {
    /// `u8`.
    Byte,
    /// `i16`.
    Short,
    /// `u16`.
    UnsignedShort,
    /// `i32`.
    Int,
    /// `u32`.
    UnsignedInt,
    /// `i64`.
    Long,
    /// `u64`.
    UnsignedLong,
    /// `bool`.
    Bool,
    /// A `bool` that sysfs shows the other way round.
    InvBool,
    /// A `u32` that sysfs shows in base 16.
    HexInt,
    /// A string.
    CharP,
}

impl ParamKind {
    /// All of them, each at its number.
    const ALL: [Self; 11] = [
        Self::Byte,
        Self::Short,
        Self::UnsignedShort,
        Self::Int,
        Self::UnsignedInt,
        Self::Long,
        Self::UnsignedLong,
        Self::Bool,
        Self::InvBool,
        Self::HexInt,
        Self::CharP,
    ];

    /// The kind of a number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The name in `module_param(…)`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Byte => "byte",
            Self::Short => "short",
            Self::UnsignedShort => "ushort",
            Self::Int => "int",
            Self::UnsignedInt => "uint",
            Self::Long => "long",
            Self::UnsignedLong => "ulong",
            Self::Bool => "bool",
            Self::InvBool => "invbool",
            Self::HexInt => "hexint",
            Self::CharP => "charp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_at_its_number() {
        for (number, kind) in (0..).zip(ParamKind::ALL) {
            assert_eq!((kind as u64, ParamKind::from_number(number)), (number, Some(kind)));
        }
        assert_eq!(ParamKind::from_number(11), None);
    }
}
