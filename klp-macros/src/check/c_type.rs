//! What C calls the types of Rust.

use syn::ext::IdentExt;
use syn::{GenericArgument, PathArguments, PointerMutability, Type};

use crate::diagnostics::{Diagnostics, Reported};

/// A declaration: the star of a pointer stands at the name.
pub(crate) fn declared(ty: &str, name: &str) -> String {
    let space = if ty.ends_with('*') { "" } else { " " };
    format!("{ty}{space}{name}")
}

/// Types that are Rust's alone, or that no code of the kernel has.
const ONLY_RUST: [&str; 6] = ["str", "char", "i128", "u128", "f32", "f64"];

/// What a name that is nothing else stands for in C, if it is that of a structure.
pub(crate) fn a_struct(name: &str) -> String {
    format!("struct {name}")
}

/// What C calls a type. `other` has what it calls a type that is neither Rust's own nor one of the kernel's integers.
pub(crate) fn c_type(
    diagnostics: &mut Diagnostics,
    ty: &Type,
    other: &dyn Fn(&str) -> String,
) -> Result<String, Reported> {
    let pointer = |diagnostics: &mut Diagnostics, to: &Type, is_const: bool| {
        let to = c_type(diagnostics, to, other)?;
        let qualifier = if is_const && !to.ends_with('*') { "const " } else { "" };
        Ok(format!("{qualifier}{}", declared(&to, "*")))
    };
    match ty {
        Type::Group(group) => return c_type(diagnostics, &group.elem, other),
        Type::Paren(paren) => return c_type(diagnostics, &paren.elem, other),
        Type::Ptr(to) => {
            return pointer(diagnostics, &to.elem, !matches!(to.mutability, PointerMutability::Mut(_)));
        }
        // What is behind it may have atomics, which C writes through a plain pointer.
        Type::Reference(to) => return pointer(diagnostics, &to.elem, false),
        Type::Path(path) if path.qself.is_none() => {
            let Some(last) = path.path.segments.last() else { return Err(unknown(diagnostics, ty)) };
            let name = last.ident.unraw().to_string();
            let PathArguments::AngleBracketed(arguments) = &last.arguments else {
                return if ONLY_RUST.contains(&&*name) {
                    Err(unknown(diagnostics, ty))
                } else {
                    Ok(c_name(&name).map_or_else(|| other(&name), str::to_owned))
                };
            };
            let argument = arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            });
            match (&*name, argument) {
                ("NonNull" | "AtomicPtr" | "ShadowRef", Some(to)) => return pointer(diagnostics, to, false),
                ("Option", Some(inner)) if is_never_null(inner) => {
                    return c_type(diagnostics, inner, other);
                }
                _ => {}
            }
        }
        _ => {}
    }
    Err(unknown(diagnostics, ty))
}

fn unknown(diagnostics: &mut Diagnostics, ty: &Type) -> Reported {
    diagnostics.error(
        ty,
        "C has no such type: write an integer, `bool`, an atomic one, a pointer, `Option<&T>`, a struct of the kernel \
         or one with `#[klp_c]`; in a struct also an array of these",
    )
}

/// Whether `None` of a type's `Option` is the null pointer.
fn is_never_null(ty: &Type) -> bool {
    match ty {
        Type::Reference(_) => true,
        Type::Path(path) => {
            let last = path.path.segments.last();
            last.is_some_and(|last| last.ident == "NonNull" || last.ident == "ShadowRef")
        }
        _ => false,
    }
}

/// What C calls a type of this name, if the name says it.
fn c_name(name: &str) -> Option<&str> {
    Some(match name {
        "usize" => "size_t",
        "isize" => "ssize_t",
        "i8" | "AtomicI8" => "s8",
        "i16" | "AtomicI16" => "s16",
        "i32" => "s32",
        "i64" => "s64",
        "u8" | "AtomicU8" => "u8",
        "u16" | "AtomicU16" => "u16",
        "u32" => "u32",
        "u64" => "u64",
        "bool" | "AtomicBool" => "bool",
        "AtomicI32" | "AtomicU32" => "atomic_t",
        "AtomicI64" | "AtomicU64" => "atomic64_t",
        "AtomicIsize" | "AtomicUsize" => "atomic_long_t",
        "c_void" => "void",
        "c_char" => "char",
        "c_schar" => "signed char",
        "c_uchar" => "unsigned char",
        "c_short" => "short",
        "c_ushort" => "unsigned short",
        "c_int" => "int",
        "c_uint" => "unsigned int",
        "c_long" => "long",
        "c_ulong" => "unsigned long",
        "c_longlong" => "long long",
        "c_ulonglong" => "unsigned long long",
        other if other.ends_with("_t") => other,
        _ => return None,
    })
}
