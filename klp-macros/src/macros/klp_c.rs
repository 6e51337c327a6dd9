//! `#[klp_c]`.

use darling::FromMeta;
use klp_format::VMLINUX;
use klp_format::manifest::{CField, CFunc, CStruct, CType, Line};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{
    Attribute, Fields, FnArg, GenericArgument, GenericParam, ItemStruct, Pat, PathArguments,
    PointerMutability, ReturnType, Safety, Signature, Type,
};

use crate::args::{self, Arguments, Parsed, Text};
use crate::check::function::{self, Function};
use crate::check::name::check_object;
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::{self, cfgs};
use crate::span::{item_span, source_location};

#[derive(FromMeta)]
struct Args {
    object: Option<Text>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] = &[("object", "object = \"nf_tables\"")];
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let object = match args::parse::<Args>(&mut diagnostics, args) {
        Ok(Parsed { args: Args { object }, .. }) => object,
        Err(Reported { .. }) => None,
    };
    if let Some(object) = &object {
        check_object(&mut diagnostics, object);
    }
    let structure = syn::parse2::<ItemStruct>(item.clone()).ok();
    let is_of_the_kernel = structure.as_ref().is_some_and(|item| item.fields == Fields::Unit);
    if let Some(object) = object.as_ref().filter(|_| !is_of_the_kernel) {
        diagnostics.error(
            object,
            "`object` is for a struct of that module, whose fields BTF has: write `struct name;`",
        );
    }
    if let Some(structure) = structure {
        if is_of_the_kernel {
            return diagnostics.attach(of_the_kernel(&structure, object.as_ref()));
        }
        let table = check_struct(&mut diagnostics, &structure).map(|fields| emit_struct(&structure, fields));
        let table = table.unwrap_or_default();
        return diagnostics.attach(quote!(#item #table));
    }
    let Ok(function) = function::parse(&mut diagnostics, "klp_c", &item) else {
        let mut diagnostics = Diagnostics::default();
        diagnostics.error_at(
            item_span(&item),
            "`#[klp_c]` belongs on what C files see: write it above `#[repr(C)] struct …` or `extern \"C\" fn …`",
        );
        return diagnostics.attach(item);
    };
    match check_function(&mut diagnostics, &function) {
        Ok(declaration) => {
            let (name, cfgs) = (function.sig.ident.unraw().to_string(), cfgs(&function.attrs));
            let manifest = emit::manifest(&cfgs, Line::CFunc(CFunc { name, declaration }));
            let item = match function.c_body() {
                Some(_) => function.emitted(item),
                None => quote! {
                    #[cfg_attr(target_os = "none", unsafe(no_mangle))]
                    #[cfg_attr(not(target_os = "none"), allow(dead_code))]
                    #item
                },
            };
            diagnostics.attach(quote!(#item #manifest))
        }
        Err(Reported { .. }) => diagnostics.attach(function::tolerable(item, &Ok(function))),
    }
}

/// A struct of the kernel, which Rust sees by reference only.
fn of_the_kernel(structure: &ItemStruct, object: Option<&Text>) -> TokenStream {
    let ItemStruct { attrs, vis, ident, .. } = structure;
    let line = CType {
        object: object.map_or_else(|| VMLINUX.to_owned(), Text::value),
        name: ident.unraw().to_string(),
        place: source_location(ident),
    };
    let manifest = emit::manifest(&cfgs(attrs), Line::CType(line));
    quote! {
        ::klp_runtime::opaque! { #(#attrs)* #vis struct #ident; }
        #manifest
    }
}

/// Whether a struct is `#[repr(C)]`.
fn is_repr_c(attrs: &[Attribute]) -> bool {
    let mut found = false;
    for attribute in attrs.iter().filter(|attribute| attribute.path().is_ident("repr")) {
        // What rustc refuses, it reports.
        let _ = attribute.parse_nested_meta(|meta| {
            found |= meta.path.is_ident("C");
            Ok(())
        });
    }
    found
}

/// The fields, as C has them.
fn check_struct(
    diagnostics: &mut Diagnostics,
    structure: &ItemStruct,
) -> Result<Vec<CField<TokenStream>>, Reported> {
    let name = &structure.ident;
    if !is_repr_c(&structure.attrs) {
        diagnostics
            .error(name, format!("C knows the layout of `#[repr(C)]` only: write it above `struct {name}`"));
    }
    if !structure.generics.params.is_empty() {
        diagnostics.error(&structure.generics, "C has no generics or lifetimes: write the types out");
    }
    let mut fields = Vec::new();
    for field in &structure.fields {
        let Some(ident) = &field.ident else {
            diagnostics.error(&field.ty, "C needs a name for each field: write `struct { name: type }`");
            continue;
        };
        let (ty, len) = match &field.ty {
            Type::Array(array) => (&*array.elem, array.len.to_token_stream()),
            ty => (ty, quote!(0)),
        };
        let Ok(c_type) = c_type(diagnostics, ty) else { continue };
        let offset = quote!(::core::mem::offset_of!(#name, #ident));
        fields.push(CField { name: ident.unraw().to_string(), c_type, len, offset });
    }
    diagnostics.check()?;
    Ok(fields)
}

fn emit_struct(structure: &ItemStruct, fields: Vec<CField<TokenStream>>) -> TokenStream {
    let ident = &structure.ident;
    let name = ident.unraw().to_string();
    let line = CStruct { name, size: quote!(::core::mem::size_of::<#ident>()), fields };
    emit::manifest(&cfgs(&structure.attrs), Line::CStruct(line))
}

/// The declaration of a function, as C has it.
fn check_function(diagnostics: &mut Diagnostics, function: &Function) -> Result<String, Reported> {
    let Signature { ident, abi, safety, asyncness, generics, inputs, variadic, output, .. } = &function.sig;
    let abi = abi.as_ref().map(|abi| abi.name.as_ref().map(syn::LitStr::value));
    if !matches!(&abi, Some(Some(abi)) if abi == "C") {
        diagnostics.error(
            ident,
            format!("C calls functions of the C calling convention: write `extern \"C\" fn {ident}`"),
        );
    }
    if function.c_body().is_some() && !matches!(safety, Safety::Unsafe(_)) {
        diagnostics.error(
            ident,
            format!("nothing checks what a body in C does: write `unsafe extern \"C\" fn {ident}(…);`"),
        );
    }
    if let Some(asyncness) = asyncness {
        diagnostics.error(asyncness, "C can't call an `async` function: leave `async` out");
    }
    if let Some(variadic) = variadic {
        diagnostics.error(variadic, "a function in Rust can't be variadic: write its parameters");
    }
    for parameter in
        generics.params.iter().filter(|parameter| !matches!(parameter, GenericParam::Lifetime(_)))
    {
        diagnostics.error(parameter, "C has no generics: write the types out");
    }
    let mut parameters = Vec::new();
    for input in inputs {
        let FnArg::Typed(parameter) = input else {
            diagnostics.error(input, "C has no methods: write a function, outside of `impl` and `trait`");
            continue;
        };
        let Ok(ty) = c_type(diagnostics, &parameter.ty) else { continue };
        parameters.push(match &*parameter.pat {
            Pat::Ident(name) => declared(&ty, &name.ident.unraw().to_string()),
            _ => ty,
        });
    }
    let returned = match output {
        ReturnType::Default => "void".to_owned(),
        ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)) => "void".to_owned(),
        ReturnType::Type(_, ty) => c_type(diagnostics, ty).unwrap_or_default(),
    };
    diagnostics.check()?;
    let parameters = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
    Ok(declared(&returned, &format!("{}({parameters})", ident.unraw())))
}

/// A declaration: the star of a pointer stands at the name.
fn declared(ty: &str, name: &str) -> String {
    let space = if ty.ends_with('*') { "" } else { " " };
    format!("{ty}{space}{name}")
}

/// Types that are Rust's alone, or that no code of the kernel has.
const ONLY_RUST: [&str; 6] = ["str", "char", "i128", "u128", "f32", "f64"];

/// What C calls a type.
fn c_type(diagnostics: &mut Diagnostics, ty: &Type) -> Result<String, Reported> {
    let pointer = |diagnostics: &mut Diagnostics, to: &Type, is_const: bool| {
        let to = c_type(diagnostics, to)?;
        let qualifier = if is_const && !to.ends_with('*') { "const " } else { "" };
        Ok(format!("{qualifier}{}", declared(&to, "*")))
    };
    match ty {
        Type::Group(group) => return c_type(diagnostics, &group.elem),
        Type::Paren(paren) => return c_type(diagnostics, &paren.elem),
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
                    Ok(c_name(&name))
                };
            };
            let argument = arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            });
            match (&*name, argument) {
                ("NonNull" | "AtomicPtr" | "ShadowRef", Some(to)) => return pointer(diagnostics, to, false),
                ("Option", Some(inner)) if is_never_null(inner) => {
                    return c_type(diagnostics, inner);
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

/// What C calls a type of this name: a struct of the kernel or of the patch, if nothing else.
fn c_name(name: &str) -> String {
    let name = match name {
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
        other => return format!("struct {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declaration(item: TokenStream) -> String {
        let mut diagnostics = Diagnostics::default();
        let function = function::parse(&mut diagnostics, "klp_c", &item).unwrap();
        let declaration = check_function(&mut diagnostics, &function);
        declaration.unwrap_or_else(|_| diagnostics.messages().join("; "))
    }

    #[test]
    fn declarations_in_c() {
        for (item, expected) in [
            (
                quote!(
                    extern "C" fn f() {}
                ),
                "void f(void)",
            ),
            (
                quote!(
                    extern "C" fn looks(task: &task_struct) -> Option<ShadowRef<'_, Looks>> {}
                ),
                "struct Looks *looks(struct task_struct *task)",
            ),
            (
                quote!(
                    unsafe extern "C" fn f(
                        a: *const core::ffi::c_char,
                        _: *mut *mut c_void,
                        n: usize,
                    ) -> bool {
                    }
                ),
                "bool f(const char *a, void **, size_t n)",
            ),
            (
                quote!(
                    extern "C" fn f(flags: gfp_t, n: Option<NonNull<AtomicU64>>) -> ! {}
                ),
                "void f(gfp_t flags, atomic64_t *n)",
            ),
        ] {
            assert_eq!(declaration(item), expected);
        }
        for (item, text) in [
            (
                quote!(
                    fn f() {}
                ),
                "write `extern \"C\" fn f`",
            ),
            (
                quote!(
                    extern "C" fn f(a: &str, b: Option<u8>) {}
                ),
                "C has no such type",
            ),
            (
                quote!(
                    extern "C" fn f<T>(a: *const T) {}
                ),
                "C has no generics",
            ),
        ] {
            assert!(declaration(item.clone()).contains(text), "{item}");
        }
    }
}
