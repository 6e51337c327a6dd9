//! The signature of a replacement, as constants that the compiler evaluates for the manifest.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{FnArg, Generics, ReturnType, Signature, Type};

use crate::place;

/// What the return value and the parameters are, in this order.
pub(crate) struct Description {
    /// Constant expressions, one for each.
    pub(crate) classes: Vec<TokenStream>,
    /// Where each stands, with commas between them.
    pub(crate) places: String,
}

impl Description {
    /// Of a signature.
    pub(crate) fn of(signature: &Signature) -> Self {
        let generics = &signature.generics;
        let (returned, place) = match &signature.output {
            ReturnType::Default => (letter(b'v'), place::in_file(&signature.ident)),
            ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)) => (letter(b'n'), place::in_file(ty)),
            ReturnType::Type(_, ty) => (class(generics, ty), place::in_file(ty)),
        };
        let (mut classes, mut places) = (vec![returned], vec![place]);
        for input in &signature.inputs {
            if let FnArg::Typed(parameter) = input {
                classes.push(class(generics, &parameter.ty));
                places.push(place::in_file(parameter));
            }
        }
        Self { classes, places: places.join(",") }
    }
}

fn letter(letter: u8) -> TokenStream {
    u64::from(letter).into_token_stream()
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
