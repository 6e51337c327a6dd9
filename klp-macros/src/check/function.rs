//! Functions that replace a function of the kernel.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::visit::{self, Visit};
use syn::{Attribute, GenericParam, Ident, Safety, Signature, Token, Visibility};

use crate::args::{self, Arguments, Parsed};
use crate::diagnostics::{Diagnostics, Reported};
use crate::span::item_span;

/// A function without a look at its body: rustc parsed it, and may know more syntax than syn.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    vis: Visibility,
    pub(crate) sig: Signature,
    /// Whether a `;` stands in place of the body, which is C then.
    is_declaration: bool,
}

impl Function {
    /// The function of a C file that is the body, if it is not here.
    pub(crate) fn c_body(&self) -> Option<&Ident> {
        self.is_declaration.then_some(&self.sig.ident)
    }

    /// Whether it stands in an `extern` block, or looks as if it did.
    fn is_foreign(&self) -> bool {
        self.is_declaration && self.sig.abi.is_none()
    }

    /// What is emitted for `item`, from which the function was parsed.
    pub(crate) fn emitted(&self, item: TokenStream) -> TokenStream {
        let Self { attrs, vis, .. } = self;
        // Where another of these attributes follows, that one has to see the function as it stands.
        let redirects = |attribute: &Attribute| {
            let last = attribute.path().segments.last();
            last.is_some_and(|last| last.ident == "klp_func" || last.ident == "klp_syscall")
        };
        if !self.is_declaration || attrs.iter().any(redirects) {
            return item;
        }
        let sig = Signature { safety: Safety::Default, abi: None, ..self.sig.clone() };
        quote! {
            #[allow(improper_ctypes)]
            unsafe extern "C" {
                #(#attrs)*
                #vis #sig;
            }
        }
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let is_declaration = input.peek(Token![;]);
        input.parse::<TokenStream>()?;
        Ok(Self { attrs, vis, sig, is_declaration })
    }
}

/// Expands the attribute `macro_name` on a function that replaces another. `table` checks the attribute and emits what
/// stands beside the function; if it reports an error, a function that rustc accepts is emitted alone.
pub(crate) fn expand<A: Arguments>(
    macro_name: &str,
    args: TokenStream,
    item: TokenStream,
    table: impl FnOnce(
        &mut Diagnostics,
        &Result<Parsed<A>, Reported>,
        &Result<Function, Reported>,
    ) -> Result<TokenStream, Reported>,
) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let args = args::parse(&mut diagnostics, args);
    let function = parse(&mut diagnostics, macro_name, &item);
    let emitted = match (table(&mut diagnostics, &args, &function), &function) {
        (Ok(table), Ok(function)) => {
            let item = function.emitted(item);
            quote!(#item #table)
        }
        _ => tolerable(item, &function),
    };
    diagnostics.attach(emitted)
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

/// The item to emit where something is wrong: for a function that rustc would refuse once more, as it is variadic or
/// has no body, one that is neither.
pub(crate) fn tolerable(item: TokenStream, function: &Result<Function, Reported>) -> TokenStream {
    match function {
        Ok(function) if function.is_foreign() => item,
        Ok(Function { attrs, vis, sig, is_declaration }) if sig.variadic.is_some() || *is_declaration => {
            let mut sig = sig.clone();
            sig.variadic = None;
            quote!(#(#attrs)* #[allow(unused)] #vis #sig { loop {} })
        }
        _ => item,
    }
}

/// Checks the signature of a replacement.
pub(crate) fn check_signature(diagnostics: &mut Diagnostics, function: &Function) {
    let sig = &function.sig;
    let name = &sig.ident;
    if function.is_foreign() {
        diagnostics.error(
            sig.fn_token,
            format!(
                "a replacement whose body is C must not stand in an `extern` block: write it outside, as \
                 `unsafe extern \"C\" fn {name}(…);`"
            ),
        );
        return;
    }
    if let Some(receiver) = sig.receiver() {
        diagnostics.error(
            receiver,
            "a replacement must not be a method: write a function, outside of `impl` and `trait`",
        );
        return;
    }
    if let Some(asyncness) = &sig.asyncness {
        diagnostics
            .error(asyncness, "a replacement must not be `async`: the kernel calls it as a C function");
    }
    let is_unsafe = matches!(sig.safety, Safety::Unsafe(_));
    let abi = sig.abi.as_ref().map(|abi| abi.name.as_ref().map(syn::LitStr::value));
    let is_c = matches!(&abi, Some(Some(abi)) if abi == "C");
    match (is_unsafe, is_c) {
        (true, true) => {}
        (false, true) => {
            diagnostics.error(
                sig.fn_token,
                format!("a replacement must be `unsafe`, as it trusts the arguments that the kernel passes: write `unsafe extern \"C\" fn {name}`"),
            );
        }
        (_, false) => {
            let also = if is_unsafe { "must have" } else { "must be `unsafe` and have" };
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
                "a replacement must not be generic: the kernel calls one function, with the types of the original",
            );
        }
    }
    let mut types = Types::default();
    types.visit_signature(sig);
    for tokens in types.traits {
        diagnostics.error(
            tokens,
            "a replacement must not have `impl Trait` in its signature: write the types of the original",
        );
    }
    for tokens in types.floats {
        diagnostics.error(
            tokens,
            "no function of the kernel takes or returns a floating-point number, as the kernel must not use the \
             registers for them: write the types of the original",
        );
    }
    if let Some(variadic) = &sig.variadic {
        diagnostics.error(
            variadic,
            "a replacement must not be variadic: redirect a caller of the function, or what it calls with a `va_list`",
        );
    }
}

/// The types of a signature that no replacement has.
#[derive(Default)]
struct Types {
    traits: Vec<TokenStream>,
    floats: Vec<TokenStream>,
}

impl<'ast> Visit<'ast> for Types {
    fn visit_type_impl_trait(&mut self, ty: &'ast syn::TypeImplTrait) {
        self.traits.push(ty.to_token_stream());
    }

    fn visit_type_path(&mut self, ty: &'ast syn::TypePath) {
        if ty.path.is_ident("f32") || ty.path.is_ident("f64") {
            self.floats.push(ty.to_token_stream());
        }
        visit::visit_type_path(self, ty);
    }

    // A pointer is passed in the registers that the kernel uses.
    fn visit_type_ptr(&mut self, _: &'ast syn::TypePtr) {}

    fn visit_type_reference(&mut self, _: &'ast syn::TypeReference) {}
}
