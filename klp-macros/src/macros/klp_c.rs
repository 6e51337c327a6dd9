//! `#[klp_c]`.

use darling::FromMeta;
use klp_format::VMLINUX;
use klp_format::manifest::{CField, CFunc, CStruct, CType, Line};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Attribute, Fields, FnArg, GenericParam, ItemStruct, Pat, ReturnType, Safety, Signature, Type};

use crate::args::{self, Arguments, Parsed, Text};
use crate::check::c_type::{a_struct, c_type, declared};
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
        let Ok(c_type) = c_type(diagnostics, ty, &a_struct) else { continue };
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
        let Ok(ty) = c_type(diagnostics, &parameter.ty, &a_struct) else { continue };
        parameters.push(match &*parameter.pat {
            Pat::Ident(name) => declared(&ty, &name.ident.unraw().to_string()),
            _ => ty,
        });
    }
    let returned = match output {
        ReturnType::Default => "void".to_owned(),
        ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)) => "void".to_owned(),
        ReturnType::Type(_, ty) => c_type(diagnostics, ty, &a_struct).unwrap_or_default(),
    };
    diagnostics.check()?;
    let parameters = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
    Ok(declared(&returned, &format!("{}({parameters})", ident.unraw())))
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
