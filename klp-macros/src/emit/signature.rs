//! The signature of a replacement, as constants that the compiler evaluates for the manifest.

use klp_format::ClassKind;
use klp_format::manifest::Passed;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{FnArg, Generics, ReturnType, Signature, Type};

use crate::span::line_and_column;

/// What a replacement returns, and what its parameters are, in this order.
pub(crate) fn describe(signature: &Signature) -> Vec<Passed<TokenStream>> {
    let generics = &signature.generics;
    let returned = match &signature.output {
        ReturnType::Default => passed(&signature.ident, number(ClassKind::Void)),
        ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)) => passed(ty, number(ClassKind::Never)),
        ReturnType::Type(_, ty) => passed(ty, class(generics, ty)),
    };
    let parameters = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(parameter) => Some(passed(parameter, class(generics, &parameter.ty))),
        FnArg::Receiver(_) => None,
    });
    [returned].into_iter().chain(parameters).collect()
}

fn passed(at: impl ToTokens, class: TokenStream) -> Passed<TokenStream> {
    Passed { place: line_and_column(at), class }
}

/// The class of something without a size.
fn number(kind: ClassKind) -> TokenStream {
    (kind as u64).into_token_stream()
}

/// The class of a type, which may name lifetimes of the function.
fn class(generics: &Generics, ty: &Type) -> TokenStream {
    let clause = &generics.where_clause;
    quote! {{
        #[allow(clippy::all, unused_imports, mismatched_lifetime_syntaxes)]
        const fn class #generics () -> u64 #clause {
            use ::klp_runtime::__private::AnyType as _;
            <::klp_runtime::__private::TypeClass<#ty>>::CLASS
        }
        class()
    }}
}
