//! Functions that replace a function of the kernel.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::visit::Visit;
use syn::{Attribute, GenericParam, Safety, Signature, Visibility};

use crate::diagnostics::{Diagnostics, Reported};
use crate::span::item_span;

/// A function without a look at its body: rustc parsed it, and may know more syntax than syn.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) sig: Signature,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        let sig = input.parse()?;
        input.parse::<TokenStream>()?;
        Ok(Self { attrs, sig })
    }
}

/// Parses what the attribute `macro_name` is on.
pub(crate) fn parse(
    diagnostics: &mut Diagnostics,
    macro_name: &str,
    item: &TokenStream,
) -> Result<Function, Reported> {
    syn::parse2(item.clone()).map_err(|_| {
        let message =
            format!("`#[{macro_name}]` belongs on a function: write it above `unsafe extern \"C\" fn …`");
        diagnostics.error_at(item_span(item), message)
    })
}

/// Checks the signature of a replacement.
pub(crate) fn check_signature(diagnostics: &mut Diagnostics, sig: &Signature) {
    let name = &sig.ident;
    if let Some(receiver) = sig.receiver() {
        diagnostics
            .error(receiver, "a replacement is no method: write a function, outside of `impl` and `trait`");
        return;
    }
    if let Some(asyncness) = &sig.asyncness {
        diagnostics.error(asyncness, "a replacement can't be `async`: the kernel calls it as a C function");
    }
    let is_unsafe = matches!(sig.safety, Safety::Unsafe(_));
    let abi = sig.abi.as_ref().map(|abi| abi.name.as_ref().map(syn::LitStr::value));
    let is_c = matches!(&abi, Some(Some(abi)) if abi == "C");
    match (is_unsafe, is_c) {
        (true, true) => {}
        (false, true) => {
            diagnostics.error(
                sig.fn_token,
                format!("a replacement is `unsafe`, as it trusts the arguments that the kernel passes: write `unsafe extern \"C\" fn {name}`"),
            );
        }
        (_, false) => {
            let also = if is_unsafe { "has" } else { "is `unsafe` and has" };
            let message = format!(
                "a replacement {also} the C calling convention: write `unsafe extern \"C\" fn {name}`"
            );
            match &sig.abi {
                Some(abi) => diagnostics.error(abi, message),
                None => diagnostics.error(sig.fn_token, message),
            };
        }
    }
    for parameter in &sig.generics.params {
        if !matches!(parameter, GenericParam::Lifetime(_)) {
            diagnostics.error(
                parameter,
                "a replacement can't be generic: the kernel calls one function, with the types of the original",
            );
        }
    }
    let mut hidden = ImplTraits::default();
    hidden.visit_signature(sig);
    for tokens in hidden.0 {
        diagnostics.error(
            tokens,
            "a replacement can't have `impl Trait` in its signature: write the types of the original",
        );
    }
    if let Some(variadic) = &sig.variadic {
        diagnostics.error(
            variadic,
            "a replacement can't be variadic: livepatch a caller of the function, or what it calls with a `va_list`",
        );
    }
}

/// The `impl Trait`s of a signature.
#[derive(Default)]
struct ImplTraits(Vec<TokenStream>);

impl<'ast> Visit<'ast> for ImplTraits {
    fn visit_type_impl_trait(&mut self, ty: &'ast syn::TypeImplTrait) {
        self.0.push(ty.to_token_stream());
    }
}
