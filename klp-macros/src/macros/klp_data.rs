//! `#[derive(KlpData)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Field, Ident, Member, Meta, Type};

use crate::diagnostics::{Diagnostics, Reported};

/// A struct with a layout, checked.
struct Layout<'a> {
    name: &'a Ident,
    fields: Vec<FieldLayout<'a>>,
}

struct FieldLayout<'a> {
    member: Member,
    ty: &'a Type,
    opaque: bool,
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

/// Whether the field is `#[klp(opaque)]`.
fn check_field(diagnostics: &mut Diagnostics, field: &Field) -> bool {
    let mut opaque = false;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("klp")) {
        if is_opaque(attribute) {
            if opaque {
                diagnostics.error(attribute, "`#[klp(opaque)]` is written twice: keep one");
            }
            opaque = true;
        } else {
            diagnostics.error(attribute, "a field knows `#[klp(opaque)]` only");
        }
    }
    opaque
}

fn is_opaque(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::List(list) => list.tokens.to_string() == "opaque",
        Meta::Path(_) | Meta::NameValue(_) => false,
    }
}

fn emit(layout: &Layout<'_>) -> TokenStream {
    let name = layout.name;
    let fields = layout.fields.iter().map(|field| {
        let FieldLayout { member, ty, opaque } = field;
        let text = member.to_token_stream().to_string();
        let text = text.trim_start_matches("r#");
        let offset = quote!(::core::mem::offset_of!(#name, #member));
        if *opaque {
            quote!(.opaque::<#ty>(#text, #offset))
        } else {
            let fingerprint =
                quote_spanned!(ty.span()=> <#ty as ::klp_runtime::__private::KlpData>::FINGERPRINT);
            quote!(.field(#text, #offset, #fingerprint))
        }
    });
    quote! {
        // SAFETY: Each field is `Send`, as `KlpData` or as `Fingerprint::opaque`
        // asks. Said here so that a field which is not is one error, at the field.
        unsafe impl ::core::marker::Send for #name {}
        // SAFETY: As above.
        unsafe impl ::core::marker::Sync for #name {}
        // SAFETY: The struct is `repr(C)`, and the fingerprint covers each of its fields.
        unsafe impl ::klp_runtime::__private::KlpData for #name {
            const FINGERPRINT: u64 =
                ::klp_runtime::__private::Fingerprint::new("struct") #(#fields)* .finish::<#name>();
        }
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
        // SAFETY: As above.
        unsafe impl ::core::marker::Sync for #name {}
        // SAFETY: As above.
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
