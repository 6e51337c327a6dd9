//! The value of a constant of the headers, and the type that an author gives it.

use klp_format::ClassKind;
use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{Ident, Type};

use crate::diagnostics::{Diagnostics, Reported};

/// A value as C has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    Bool(bool),
    Integer(i128),
}

impl Constant {
    /// The value of a kind of type, from the bits that C has extended by the rules of the type; `None` for other types.
    pub(super) fn of(kind: ClassKind, value: u64) -> Option<Self> {
        match kind {
            ClassKind::Bool => Some(Self::Bool(value != 0)),
            ClassKind::Unsigned => Some(Self::Integer(value.into())),
            ClassKind::Signed | ClassKind::Char | ClassKind::Enum => {
                Some(Self::Integer((value as i64).into()))
            }
            _ => None,
        }
    }

    /// Checks that a type has the value, where its name says what it has: others are rustc's to check.
    pub(super) fn check(
        self,
        diagnostics: &mut Diagnostics,
        ident: &Ident,
        ty: &Type,
    ) -> Result<(), Reported> {
        let Type::Path(path) = ty else {
            return Err(diagnostics
                .error(ty, "a constant is an integer or a `bool`: write such a type, or none to have C's"));
        };
        let name = path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        let why = match (self, range(&name)) {
            (Self::Integer(value), None) if name == "bool" => format!("`{ident}` is {value}, not a `bool`"),
            (Self::Bool(_), Some(_)) => format!("`{ident}` is a `bool`"),
            (Self::Integer(value), Some((lowest, highest))) if value < lowest || value > highest => {
                format!("`{ident}` is {value}, for which `{name}` has no room")
            }
            _ => return Ok(()),
        };
        Err(diagnostics.error(ty, format!("{why}: write another type, or none to have C's")))
    }

    /// The value as Rust writes it.
    pub(super) fn literal(self, ident: &Ident) -> TokenStream {
        let number = match self {
            Self::Bool(value) => return quote_spanned!(ident.span()=> #value),
            Self::Integer(number) => number,
        };
        let mut literal = Literal::u128_unsuffixed(number.unsigned_abs());
        literal.set_span(ident.span());
        if number < 0 { quote_spanned!(ident.span()=> -#literal) } else { literal.into_token_stream() }
    }
}

/// The lowest and the highest value of an integer type.
fn range(name: &str) -> Option<(i128, i128)> {
    let (is_signed, bits) = match name {
        "i8" | "c_schar" | "c_char" => (true, 8),
        "u8" | "c_uchar" => (false, 8),
        "i16" | "c_short" => (true, 16),
        "u16" | "c_ushort" => (false, 16),
        "i32" | "c_int" => (true, 32),
        "u32" | "c_uint" => (false, 32),
        "i64" | "isize" | "c_long" | "c_longlong" => (true, 64),
        "u64" | "usize" | "c_ulong" | "c_ulonglong" => (false, 64),
        _ => return None,
    };
    Some(if is_signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) })
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    #[test]
    fn a_type_has_room_or_it_is_an_error() {
        let said = |constant: Constant, ty: &str| {
            let mut diagnostics = Diagnostics::default();
            let ident = Ident::new("C", Span::call_site());
            let _ = constant.check(&mut diagnostics, &ident, &syn::parse_str(ty).unwrap());
            diagnostics.messages().join("")
        };
        for (value, ty) in [(-5, "u64"), (300, "u8"), (1 << 31, "c_int"), (-129, "core::ffi::c_char")] {
            assert!(said(Constant::Integer(value), ty).contains("has no room"), "{value} {ty}");
        }
        for (value, ty) in [(-128, "c_char"), (u64::MAX.into(), "usize"), (-1, "i64"), (7, "an_alias")] {
            assert_eq!(said(Constant::Integer(value), ty), "", "{value} {ty}");
        }
        assert!(said(Constant::Integer(5), "bool").contains("not a `bool`"));
        assert!(said(Constant::Bool(true), "c_int").contains("is a `bool`"));
        assert!(said(Constant::Integer(0), "*mut u8").contains("an integer or a `bool`"));
        assert_eq!(said(Constant::Bool(true), "bool"), "");
    }

    #[test]
    fn values_are_extended_by_their_types() {
        assert_eq!(Constant::of(ClassKind::Signed, u64::MAX), Some(Constant::Integer(-1)));
        assert_eq!(Constant::of(ClassKind::Unsigned, u64::MAX), Some(Constant::Integer(u64::MAX.into())));
        assert_eq!(Constant::of(ClassKind::Bool, 1), Some(Constant::Bool(true)));
        assert_eq!(Constant::of(ClassKind::Pointer, 1), None);
    }
}
