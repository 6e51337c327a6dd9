//! `#[derive(KlpData)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Field, Ident, Member, Token, Type, parenthesized};

use crate::diagnostics::{Diagnostics, Reported};

/// A struct with a layout, checked.
struct Layout<'a> {
    name: &'a Ident,
    fields: Vec<FieldLayout<'a>>,
}

struct FieldLayout<'a> {
    member: Member,
    ty: &'a Type,
    /// The `unsafe` of `#[klp(unsafe(opaque))]`.
    opaque: Option<Token![unsafe]>,
}

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let Ok(input) = parse(&mut diagnostics, item) else {
        return diagnostics.attach(TokenStream::new());
    };
    let tokens = match check(&mut diagnostics, &input) {
        Ok(layout) => emit(&layout),
        Err(Reported { .. }) => placeholder(&input),
    };
    diagnostics.attach(tokens)
}

fn parse(diagnostics: &mut Diagnostics, item: TokenStream) -> Result<DeriveInput, Reported> {
    syn::parse2(item).map_err(|error| diagnostics.push(error))
}

fn check<'a>(diagnostics: &mut Diagnostics, input: &'a DeriveInput) -> Result<Layout<'a>, Reported> {
    check_repr(diagnostics, input);
    // The other checks do not depend on it; what was reported ends them all.
    let _ = check_generics(diagnostics, input, "what is handed from one patch to the next");
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => {
            return Err(diagnostics.error(
                data.enum_token,
                "an enum can't be handed from one patch to the next, as another patch may write a value that \
                 this one has no variant for: write a struct with an integer",
            ));
        }
        Data::Union(data) => {
            return Err(diagnostics.error(
                data.union_token,
                "a union can't be handed from one patch to the next, as nothing says which field holds: write a struct",
            ));
        }
    };
    let fields = fields
        .members()
        .zip(fields)
        .map(|(member, field)| FieldLayout { member, ty: &field.ty, opaque: check_field(diagnostics, field) })
        .collect();
    diagnostics.check()?;
    Ok(Layout { name: &input.ident, fields })
}

/// Refuses generics, which `what` can't have.
pub(crate) fn check_generics(
    diagnostics: &mut Diagnostics,
    input: &DeriveInput,
    what: &str,
) -> Result<(), Reported> {
    if input.generics.params.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{what} has no generics or lifetimes: it outlives this module, and has one layout. Write the types \
         out, and `KernelPtr` for a reference"
    );
    Err(diagnostics.error(&input.generics, message))
}

fn check_repr(diagnostics: &mut Diagnostics, input: &DeriveInput) {
    let mut has_c = false;
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("repr")) {
        let parsed = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("C") {
                has_c = true;
            } else if meta.path.is_ident("packed") {
                diagnostics.error(
                    &meta.path,
                    "packed fields can't be borrowed: order the fields so that none needs padding",
                );
            } else if meta.path.is_ident("transparent") {
                diagnostics.error(
                    &meta.path,
                    "only `#[repr(C)]` has a layout that all compilers agree on: write `C`",
                );
                has_c = true;
            }
            // The argument of `align(…)` and `packed(…)`.
            if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<TokenStream>()?;
            }
            Ok(())
        });
        if parsed.is_err() {
            // What rustc refuses, it reports.
            has_c = true;
        }
    }
    if !has_c && matches!(input.data, Data::Struct(_)) {
        diagnostics.error(
            &input.ident,
            format!(
                "the layout of `{0}` may differ from one build to the next: write `#[repr(C)]` above `struct {0}`",
                input.ident
            ),
        );
    }
}

/// The promise in a field's `#[klp(unsafe(opaque))]`, if it has one.
fn check_field(diagnostics: &mut Diagnostics, field: &Field) -> Option<Token![unsafe]> {
    let mut opaque = None;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("klp")) {
        match attribute.parse_args() {
            Ok(FieldAttribute::Promised(_)) if opaque.is_some() => {
                diagnostics.error(attribute, "`#[klp(unsafe(opaque))]` is written twice: keep one");
            }
            Ok(FieldAttribute::Promised(promise)) => opaque = Some(promise),
            Ok(FieldAttribute::Bare) => {
                // As if it were promised, so that the type is not reported as well.
                opaque = Some(Token![unsafe](attribute.span()));
                diagnostics.error(
                    attribute,
                    "nothing checks an opaque field, and one that points into this patch's module is followed \
                     after the module is gone: copy the bytes or keep a number. A field that holds no such \
                     pointer needs your promise: write `#[klp(unsafe(opaque))]`",
                );
            }
            Err(_) => {
                diagnostics.error(
                    attribute,
                    "unknown attribute of a field: the only one is `#[klp(unsafe(opaque))]`",
                );
            }
        }
    }
    opaque
}

/// What stands in a field's `#[klp(…)]`.
enum FieldAttribute {
    /// `unsafe(opaque)`.
    Promised(Token![unsafe]),
    /// `opaque`.
    Bare,
}

impl Parse for FieldAttribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let opaque = |input: ParseStream<'_>| {
            let name: Ident = input.parse()?;
            if name == "opaque" { Ok(()) } else { Err(syn::Error::new_spanned(name, "unknown")) }
        };
        let Some(promise) = input.parse::<Option<Token![unsafe]>>()? else {
            return opaque(input).map(|()| Self::Bare);
        };
        let content;
        parenthesized!(content in input);
        opaque(&content).map(|()| Self::Promised(promise))
    }
}

fn emit(layout: &Layout<'_>) -> TokenStream {
    let name = layout.name;
    let fields = layout.fields.iter().map(|field| {
        let FieldLayout { member, ty, opaque } = field;
        let text = member.to_token_stream().to_string();
        let text = text.trim_start_matches("r#");
        let offset = quote!(::core::mem::offset_of!(#name, #member));
        match opaque {
            // With the author's own `unsafe`, so that `forbid(unsafe_code)` sees it.
            Some(promise) => {
                let call = quote!(fingerprint.opaque::<#ty>(#text, #offset));
                quote_spanned!(promise.span=> unsafe { #call })
            }
            None => {
                let of_type =
                    quote_spanned!(ty.span()=> <#ty as ::klp_runtime::__private::KlpData>::FINGERPRINT);
                quote!(fingerprint.field(#text, #offset, #of_type))
            }
        }
    });
    let same_fields = same_fields(layout);
    quote! {
        #same_fields
        // SAFETY: Each field is `Send`, as `KlpData` or as `Fingerprint::opaque`
        // asks. Said here so that a field which is not is one error, at the field.
        unsafe impl ::core::marker::Send for #name {}
        // SAFETY: Each field is `Sync`, as `KlpData` or as `Fingerprint::opaque` asks.
        unsafe impl ::core::marker::Sync for #name {}
        // rustc would list the structs of the patch where another type lacks the trait.
        #[diagnostic::do_not_recommend]
        // SAFETY: The struct is `repr(C)`, and the fingerprint covers each of its fields.
        unsafe impl ::klp_runtime::__private::KlpData for #name {
            const FINGERPRINT: u64 = {
                let fingerprint = ::klp_runtime::__private::Fingerprint::new("struct");
                #(let fingerprint = #fields;)*
                fingerprint.finish::<#name>()
            };
        }
    }
}

/// Holds the struct to the fields that the derive saw: an attribute macro below it may add others, or
/// change their types.
fn same_fields(layout: &Layout<'_>) -> TokenStream {
    let name = layout.name;
    let members = layout.fields.iter().map(|field| &field.member);
    let types = layout.fields.iter().map(|field| field.ty);
    let bindings: Vec<_> = (0..layout.fields.len()).map(|index| format_ident!("field_{index}")).collect();
    quote! {
        const _: fn(&#name) = |value| {
            let #name { #(#members: #bindings),* } = value;
            #(let _: &#types = #bindings;)*
        };
    }
}

/// Keeps rustc from reporting a missing `KlpData` on top of the reason for it.
fn placeholder(input: &DeriveInput) -> TokenStream {
    if !input.generics.params.is_empty() {
        return TokenStream::new();
    }
    let name = &input.ident;
    quote! {
        // SAFETY: Errors were reported: this does not compile.
        unsafe impl ::core::marker::Send for #name {}
        // SAFETY: Errors were reported: this does not compile.
        unsafe impl ::core::marker::Sync for #name {}
        // SAFETY: Errors were reported: this does not compile.
        unsafe impl ::klp_runtime::__private::KlpData for #name {
            const FINGERPRINT: u64 = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(item: TokenStream) -> String {
        expand(item).to_string()
    }

    #[test]
    fn a_rename_of_the_struct_is_the_same_layout() {
        let one = expanded(quote!(
            #[repr(C)]
            struct One {
                a: u8,
            }
        ))
        .replace("One", "_");
        let two = expanded(quote!(
            #[repr(C)]
            struct Two {
                a: u8,
            }
        ))
        .replace("Two", "_");
        assert_eq!(one, two);
    }

    #[test]
    fn a_field_that_another_macro_adds_does_not_pass() {
        let text = expanded(quote!(
            #[repr(C)]
            struct S(u8, [u16; 2]);
        ));
        assert!(text.contains("let S { 0 : field_0 , 1 : field_1 } = value"), "{text}");
        assert!(text.contains("let _ : & [u16 ; 2] = field_1"), "{text}");
    }

    #[test]
    fn raw_names_are_the_names_they_stand_for() {
        assert!(
            expanded(quote!(
                #[repr(C)]
                struct S {
                    r#type: u8,
                }
            ))
            .contains("\"type\"")
        );
    }

    #[test]
    fn an_alignment_beside_c_is_taken() {
        assert!(
            !expanded(quote!(
                #[repr(C, align(64))]
                struct S;
            ))
            .contains("compile_error")
        );
        assert!(
            !expanded(quote!(
                #[repr(align(64))]
                #[repr(C)]
                struct S(u8);
            ))
            .contains("compile_error")
        );
        assert!(
            expanded(quote!(
                #[repr(align(64))]
                struct S;
            ))
            .contains("compile_error")
        );
    }
}
