//! `#[klp_func]`.

use darling::FromMeta;
use klp_format::VMLINUX;
use klp_format::manifest::SymbolKind;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Ident};

use crate::args::{Arguments, Flag, Name, Number, Parsed, Text};
use crate::check::function::{self, Function, check_signature};
use crate::check::name::{check_object, check_symbol};
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::cfgs;
use crate::emit::redirect::{Call, Target, redirection, replacement};
use crate::emit::symbol::{SymbolRequest, link_name};

#[derive(FromMeta)]
struct Args {
    symbol: Option<Text>,
    object: Option<Text>,
    sympos: Option<Number>,
    original: Option<Name>,
    unchecked: Option<Flag>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] = &[
        ("symbol", "symbol = \"cmdline_proc_show\""),
        ("object", "object = \"nf_tables\""),
        ("sympos", "sympos = 2"),
        ("original", "original = original_show"),
        ("unchecked", "unchecked"),
    ];
}

/// A redirected function, checked.
struct Redirect<'a> {
    function: &'a Function,
    symbol: (String, &'a Text),
    object: String,
    sympos: Option<&'a Number>,
    original: Option<&'a Name>,
    unchecked: bool,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    function::expand("klp_func", args, item, |diagnostics, args, function| {
        check(diagnostics, args, function).map(|redirect| emit(&redirect))
    })
}

fn check<'a>(
    diagnostics: &mut Diagnostics,
    parsed: &'a Result<Parsed<Args>, Reported>,
    function: &'a Result<Function, Reported>,
) -> Result<Redirect<'a>, Reported> {
    if let Ok(function) = function {
        check_signature(diagnostics, function);
    }
    let parsed = parsed.as_ref().map_err(|reported| *reported)?;
    parsed.require(diagnostics, "symbol", "the name of the function that is redirected");
    let args = &parsed.args;
    if let Some(symbol) = &args.symbol {
        check_symbol(diagnostics, symbol, "of the function that is redirected");
    }
    if let Some(object) = &args.object {
        check_object(diagnostics, object);
    }

    let function = function.as_ref().map_err(|reported| *reported)?;
    diagnostics.check()?;
    let Some(symbol) = &args.symbol else {
        return Err(diagnostics.error_at(parsed.place(), "`symbol` is missing"));
    };
    Ok(Redirect {
        function,
        symbol: (symbol.value(), symbol),
        object: args.object.as_ref().map_or_else(|| VMLINUX.to_owned(), Text::value),
        sympos: args.sympos.as_ref(),
        original: args.original.as_ref(),
        unchecked: args.unchecked.is_some(),
    })
}

fn emit(redirect: &Redirect<'_>) -> TokenStream {
    let cfgs = cfgs(&redirect.function.attrs);
    let (symbol, symbol_at) = &redirect.symbol;
    let sympos = redirect.sympos.map_or_else(|| quote!(0), |sympos| quote!(#sympos));
    let signature = (!redirect.unchecked).then_some(&redirect.function.sig);
    let c_body = redirect.function.c_body();
    let target = Target { object: &redirect.object, symbol, symbol_at, sympos, c_body, signature };
    let replacement = replacement(&redirect.function.sig);
    let redirection = redirection(&cfgs, &target, &replacement, &TokenStream::new());
    let original = redirect.original.map(|original| call_original(redirect, original, &cfgs));
    quote!(#redirection #original)
}

/// A function that calls the original, past the redirect.
fn call_original(redirect: &Redirect<'_>, original: &Name, cfgs: &[&Attribute]) -> TokenStream {
    let (name, sig) = (&original.0, &redirect.function.sig);
    let request = SymbolRequest {
        object: &redirect.object,
        symbol: &redirect.symbol.0,
        sympos: redirect.sympos,
        kind: SymbolKind::Original,
        name,
    };
    let manifest = request.manifest(cfgs);
    let declared = Ident::new("__klp_original", Span::call_site());
    let link_name = link_name(&request, &declared);
    let Call { generics, parameters, names, output } = Call::of(sig);
    let docs = format!("`{}`, as it is without the redirect.", redirect.symbol.0);
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        ///
        /// # Safety
        ///
        /// What the original asks for.
        #[inline]
        #[allow(clippy::all)]
        unsafe fn #name #generics(#parameters) #output {
            #[allow(improper_ctypes)]
            unsafe extern "C" {
                #(#link_name)*
                fn #declared #generics(#parameters) #output;
            }
            // SAFETY: the caller's word holds for the original, which has these types.
            unsafe { #declared(#names) }
        }
        #manifest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;
    use crate::check::name::{MAX_OBJECT, MAX_SYMBOL};

    fn messages(args: TokenStream, item: TokenStream) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        let args = args::parse(&mut diagnostics, args);
        let function = function::parse(&mut diagnostics, "klp_func", &item);
        let _ = check(&mut diagnostics, &args, &function);
        diagnostics.messages()
    }

    fn replacement() -> TokenStream {
        quote!(
            unsafe extern "C" fn replacement<'a>(_: &'a u8) {}
        )
    }

    #[test]
    fn names_at_their_limits_are_taken() {
        let (symbol, object) = ("s".repeat(MAX_SYMBOL), "o".repeat(MAX_OBJECT));
        let args = quote!(symbol = #symbol, object = #object);
        assert_eq!(messages(args, replacement()), Vec::<String>::new());
    }

    #[test]
    fn symbols_of_compilers_are_taken() {
        for symbol in ["a.isra.0", "__x64_sys_read", "_RNvC1a1b", "_ZN1a$LT$b$GT$E", "cold.llvm.17"] {
            assert_eq!(messages(quote!(symbol = #symbol), replacement()), Vec::<String>::new());
        }
    }

    #[test]
    fn a_body_is_not_parsed() {
        let item = quote!(unsafe extern "C" fn replacement() { new syntax % here });
        assert_eq!(messages(quote!(symbol = "s"), item), Vec::<String>::new());
    }

    #[test]
    fn cfgs_are_forwarded_and_docs_are_not() {
        let item = quote! {
            /// Documentation.
            #[cfg(feature = "x")]
            unsafe extern "C" fn replacement() {}
        };
        let expanded = expand(quote!(symbol = "s"), item).to_string();
        assert_eq!(expanded.matches("feature = \"x\"").count(), 3, "{expanded}");
        assert_eq!(expanded.matches("Documentation").count(), 1, "{expanded}");
    }
}
