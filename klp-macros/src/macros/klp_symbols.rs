//! `#[klp_symbols]`.

use darling::FromMeta;
use klp_format::VMLINUX;
use klp_format::manifest::SymbolKind;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{Attribute, ForeignItem, Ident, ItemForeignMod, Meta, Safety, Token};

use crate::args::{self, Arguments, Number, Parsed, Text};
use crate::check::name::{check_object, check_symbol};
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::symbol::{SymbolRequest, link_name};
use crate::emit::{cfgs, hidden, patch_path};
use crate::span::item_span;

#[derive(FromMeta)]
struct Args {
    object: Option<Text>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] = &[("object", "object = \"nf_tables\"")];
}

/// The arguments of `#[klp(…)]` on an item of the block.
#[derive(FromMeta)]
struct ItemArgs {
    symbol: Option<Text>,
    sympos: Option<Number>,
    static_of: Option<Text>,
}

impl Arguments for ItemArgs {
    const KEYS: &'static [(&'static str, &'static str)] = &[
        ("symbol", "symbol = \"do_open.isra.0\""),
        ("sympos", "sympos = 2"),
        ("static_of", "static_of = \"the_function\""),
    ];
}

/// An item of the block, checked.
struct Declared<'a> {
    ident: &'a Ident,
    attrs: &'a [Attribute],
    symbol: String,
    sympos: Option<Number>,
    kind: SymbolKind,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let args = args::parse(&mut diagnostics, args);
    let Ok(mut block) = parse(&mut diagnostics, &item) else {
        return diagnostics.attach(item);
    };
    let checked = check(&mut diagnostics, &args, &block);
    let (names, generated) = match &checked {
        Ok((object, declared)) => (link_names(object, declared), emit(object, &block, declared)),
        Err(Reported { .. }) => (Vec::new(), TokenStream::new()),
    };
    drop(checked);
    for item in &mut block.items {
        if let Some(attrs) = attrs_mut(item) {
            attrs.retain(|attribute| !is_ours(attribute));
        }
    }
    for (item, names) in block.items.iter_mut().zip(names) {
        attrs_mut(item).expect("only functions and variables pass the check").extend(names);
    }
    diagnostics.attach(quote!(#block #generated))
}

fn parse(diagnostics: &mut Diagnostics, item: &TokenStream) -> Result<ItemForeignMod, Reported> {
    syn::parse2(item.clone()).map_err(|_| {
        diagnostics.error_at(
            item_span(item),
            "`#[klp_symbols]` belongs on a block of declarations: write it above `unsafe extern \"C\" { … }`",
        )
    })
}

fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().is_ident("klp")
}

fn attrs_mut(item: &mut ForeignItem) -> Option<&mut Vec<Attribute>> {
    match item {
        ForeignItem::Fn(function) => Some(&mut function.attrs),
        ForeignItem::Static(variable) => Some(&mut variable.attrs),
        _ => None,
    }
}

fn check<'a>(
    diagnostics: &mut Diagnostics,
    parsed: &Result<Parsed<Args>, Reported>,
    block: &'a ItemForeignMod,
) -> Result<(String, Vec<Declared<'a>>), Reported> {
    let object = match parsed {
        Ok(Parsed { args: Args { object: Some(object) }, .. }) => {
            check_object(diagnostics, object);
            object.value()
        }
        _ => VMLINUX.to_owned(),
    };
    if block.abi.name.as_ref().is_none_or(|name| name.value() != "C") {
        diagnostics.error(&block.abi, "the kernel's symbols are those of C: write `unsafe extern \"C\"`");
    }
    let declared: Vec<_> = block.items.iter().map(|item| check_item(diagnostics, item)).collect();
    if block.items.is_empty() {
        diagnostics.error_at(
            block.brace_token.span.join(),
            "the block is empty: declare the functions and variables in it",
        );
    }
    diagnostics.check()?;
    Ok((object, declared.into_iter().collect::<Result<_, _>>()?))
}

fn check_item<'a>(diagnostics: &mut Diagnostics, item: &'a ForeignItem) -> Result<Declared<'a>, Reported> {
    let (ident, attrs, safety, is_function) = match item {
        ForeignItem::Fn(function) => (&function.sig.ident, &function.attrs, &function.sig.safety, true),
        ForeignItem::Static(variable) => (&variable.ident, &variable.attrs, &variable.safety, false),
        other => {
            return Err(diagnostics
                .error(other, "only functions and variables have symbols: write `fn …;` or `static …;`"));
        }
    };
    if let Safety::Safe(safe) = safety {
        diagnostics.error(
            safe,
            "nothing checks the type of a symbol, nor that its module is there: leave `safe` out",
        );
    }
    for attribute in attrs.iter().filter(|attribute| attribute.path().is_ident("link_name")) {
        diagnostics.error(attribute, "the name is found by the build: write `#[klp(symbol = \"…\")]`");
    }
    let args = item_args(diagnostics, attrs)?;
    let symbol = args.symbol.as_ref().map_or_else(|| ident.unraw().to_string(), Text::value);
    if let Some(symbol) = &args.symbol {
        check_symbol(diagnostics, symbol, "of the symbol, as in `/proc/kallsyms`");
    }
    if let Some(function) = &args.static_of {
        check_symbol(diagnostics, function, "of the function that the variable is in");
        if is_function {
            diagnostics.error(
                function,
                "a function is no variable of another one: write `static …;`, or leave `static_of` out",
            );
        }
        if let Some(sympos) = &args.sympos {
            diagnostics.error(
                sympos,
                "a variable of a function is found by the function's code: leave `sympos` out",
            );
        }
    }
    let kind = match (&args.static_of, is_function) {
        (Some(function), _) => SymbolKind::StaticOf(function.value()),
        (None, true) => SymbolKind::Function,
        (None, false) => SymbolKind::Variable,
    };
    diagnostics.check()?;
    Ok(Declared { ident, attrs, symbol, sympos: args.sympos, kind })
}

/// The arguments of an item's `#[klp(…)]`s, all of them together.
fn item_args(diagnostics: &mut Diagnostics, attrs: &[Attribute]) -> Result<ItemArgs, Reported> {
    let mut tokens = Punctuated::<TokenStream, Token![,]>::new();
    for attribute in attrs.iter().filter(|attribute| is_ours(attribute)) {
        match &attribute.meta {
            Meta::List(list) if !list.tokens.is_empty() => tokens.push(list.tokens.clone()),
            other => {
                diagnostics.error(
                    other,
                    "`#[klp(…)]` says how the symbol is found: write `symbol`, `sympos` or `static_of` in it",
                );
            }
        }
    }
    Ok(args::parse::<ItemArgs>(diagnostics, tokens.to_token_stream())?.args)
}

impl Declared<'_> {
    fn request<'a>(&'a self, object: &'a str) -> SymbolRequest<'a> {
        let Self { ident: name, symbol, sympos, kind, .. } = self;
        SymbolRequest { object, symbol, sympos: sympos.as_ref(), kind: kind.clone(), name }
    }
}

/// The attributes that give each item its name for the linker.
fn link_names(object: &str, declared: &[Declared<'_>]) -> Vec<Vec<Attribute>> {
    declared.iter().map(|item| link_name(&item.request(object), item.ident)).collect()
}

fn emit(object: &str, block: &ItemForeignMod, declared: &[Declared<'_>]) -> TokenStream {
    let items = declared.iter().map(|item| {
        let cfgs: Vec<_> = cfgs(&block.attrs).into_iter().chain(cfgs(item.attrs)).collect();
        let line = item.request(object).manifest(&cfgs);
        let check = item.sympos.as_ref().map(|sympos| {
            hidden(&cfgs, &quote!(const __KLP_SYMPOS: ::core::ffi::c_ulong = #sympos; let _ = __KLP_SYMPOS;))
        });
        quote!(#check #line)
    });
    // A patch is missed here as with the other macros.
    let patch = patch_path(Span::call_site());
    let cfgs = cfgs(&block.attrs);
    let belongs = hidden(&cfgs, &quote!(let _ = ::core::mem::size_of::<#patch>();));
    quote!(#belongs #(#items)*)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(args: TokenStream, item: TokenStream) -> String {
        expand(args, item).to_string()
    }

    #[test]
    fn each_item_has_a_name_and_a_line() {
        let text = expanded(
            quote!(object = "nf_tables"),
            quote! {
                unsafe extern "C" {
                    /// A list.
                    #[cfg(feature = "x")]
                    static mut list: u8;
                    #[klp(symbol = "nft_do.isra.0", sympos = 2)]
                    fn nft_do();
                }
            },
        );
        assert!(text.contains("link_name = \"__klp_symbol:variable:nf_tables:list:\""), "{text}");
        assert!(text.contains("link_name = \"__klp_symbol:function:nf_tables:nft_do.isra.0:2\""), "{text}");
        assert!(text.contains("link_name = \"nft_do.isra.0\""), "{text}");
        assert!(!text.contains("# [klp"), "{text}");
        assert_eq!(text.matches("feature = \"x\"").count(), 2, "{text}");
        assert_eq!(text.matches("symbol\\\\tnf_tables").count(), 2, "{text}");
    }

    #[test]
    fn a_variable_of_a_function() {
        let text = expanded(
            TokenStream::new(),
            quote! {
                unsafe extern "C" {
                    #[klp(static_of = "f")]
                    static count: u8;
                }
            },
        );
        assert!(text.contains("__klp_symbol:static_of:f:vmlinux:count:"), "{text}");
    }
}
