//! `#[klp_param]`.

use darling::FromMeta;
use klp_format::ALLOW_DOWNGRADE_PARAMETER;
use klp_format::manifest::{self, Line};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, ItemStatic, Lit, Meta, StaticMutability};

use crate::args::{self, Arguments, Number, Parsed, Text};
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::{self, assertion, cfgs, hidden, unique};
use crate::span::item_span;

#[derive(FromMeta)]
struct Args {
    name: Option<Text>,
    permissions: Option<Number>,
    description: Option<Text>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] = &[
        ("name", "name = \"…\""),
        ("permissions", "permissions = 0o644"),
        ("description", "description = \"…\""),
    ];
}

/// A parameter, checked.
struct Param<'a> {
    item: &'a ItemStatic,
    name: String,
    /// What the user wrote for the name.
    named: TokenStream,
    permissions: Option<&'a Number>,
    description: String,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let parsed = args::parse(&mut diagnostics, args);
    let parameter = parse(&mut diagnostics, &item);
    let (export, table) = match check(&mut diagnostics, &parsed, &parameter) {
        Ok(param) => emit(&param),
        Err(Reported { .. }) => Default::default(),
    };
    diagnostics.attach(quote!(#export #item #table))
}

fn parse(diagnostics: &mut Diagnostics, item: &TokenStream) -> Result<ItemStatic, Reported> {
    let message =
        "`#[klp_param]` belongs on a static: write it above `static NAME: Param<u32> = Param::new(0);`";
    let item: ItemStatic =
        syn::parse2(item.clone()).map_err(|_| diagnostics.error_at(item_span(item), message))?;
    if let StaticMutability::Mut(mutability) = &item.mutability {
        let message = "a parameter changes behind a shared static: write `static`, without `mut`";
        return Err(diagnostics.error(mutability, message));
    }
    Ok(item)
}

fn check<'a>(
    diagnostics: &mut Diagnostics,
    parsed: &'a Result<Parsed<Args>, Reported>,
    item: &'a Result<ItemStatic, Reported>,
) -> Result<Param<'a>, Reported> {
    let args = &parsed.as_ref().map_err(|reported| *reported)?.args;
    if let Some(name) = &args.name {
        check_name(diagnostics, &name.value(), name);
    }
    if let Some(description) = &args.description {
        check_description(diagnostics, &description.value(), description);
    }
    let item = item.as_ref().map_err(|reported| *reported)?;
    let ident = &item.ident;
    let (name, named) = match &args.name {
        Some(name) => (name.value(), quote!(#name)),
        None => (ident.unraw().to_string().to_lowercase(), quote!(#ident)),
    };
    if name == ALLOW_DOWNGRADE_PARAMETER {
        let message =
            format!("klp gives a parameter `{name}` to each patch with a series: choose another name");
        diagnostics.error(&named, message);
    }
    diagnostics.check()?;
    let description = args.description.as_ref().map_or_else(|| documentation(&item.attrs), Text::value);
    Ok(Param { item, name, named, permissions: args.permissions.as_ref(), description })
}

fn check_name(diagnostics: &mut Diagnostics, name: &str, at: &Text) {
    let is_letter = |character: char| character.is_ascii_alphabetic() || character == '_';
    if !name.starts_with(is_letter) || !name.chars().all(|c| is_letter(c) || c.is_ascii_digit()) {
        let message =
            format!("`{name}` can't be the name of a parameter: it is one of C, letters, digits and `_`");
        diagnostics.error(at, message);
    }
}

fn check_description(diagnostics: &mut Diagnostics, text: &str, at: &Text) {
    if let Some(control) = text.chars().find(|character| character.is_control()) {
        let message =
            format!("the description has the character {control:?}: `modinfo` has room for one line");
        diagnostics.error(at, message);
    }
}

/// The first paragraph of an item's documentation, as one line.
fn documentation(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter(|attribute| attribute.path().is_ident("doc")).map(|attribute| {
        match &attribute.meta {
            Meta::NameValue(pair) => match &pair.value {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => text.value().trim().to_owned(),
                _ => String::new(),
            },
            _ => String::new(),
        }
    });
    let paragraph: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ").chars().filter(|character| !character.is_control()).collect()
}

/// The attribute by which the glue finds the static, and what stands beside the item.
fn emit(param: &Param<'_>) -> (TokenStream, TokenStream) {
    let Param { item, name, named, permissions, description } = param;
    let cfgs = cfgs(&item.attrs);
    let symbol = format!("klp_param_{name}");
    let export = quote!(#[cfg_attr(target_os = "none", unsafe(export_name = #symbol))]);
    let ty = &item.ty;
    let parameter = quote_spanned!(ty.span()=> <#ty as ::klp_runtime::__private::Parameter>);
    let of_type = quote!(<#parameter::Type as ::klp_runtime::__private::ParamType>);
    let permissions_value = permissions.map_or_else(|| quote!(0), |permissions| quote!(#permissions));
    let at = permissions.map_or_else(|| quote!(#ty), |permissions| quote!(#permissions));
    let valid = assertion(
        &quote!((#permissions_value) & !0o666 == 0 && (#permissions_value) & 0o002 == 0),
        "permissions are those of a file in sysfs that others may not write to: 0o644, 0o444, or 0 for none",
        &at,
    );
    let writable = assertion(
        &quote!(#of_type::WRITABLE || (#permissions_value) & 0o222 == 0),
        "sysfs may not write to a string, which the kernel would free under its readers: write `permissions = 0o444`",
        &at,
    );
    let unique = unique("ParameterDeclaredTwice", &quote!(::klp_runtime::__private::name_key(#name)), named);
    let hidden = hidden(&cfgs, &quote!(#valid #writable #unique));
    let line = manifest::Param {
        name: name.clone(),
        kind: quote!(#of_type::KIND as u32),
        len: quote!(#parameter::LEN),
        permissions: permissions_value,
        description: description.clone(),
    };
    let manifest = emit::manifest(&cfgs, Line::Param(line));
    (export, quote!(#hidden #manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_paragraph_describes() {
        let item: ItemStatic = syn::parse_quote! {
            /// How many times
            /// it is tried.
            ///
            /// More than that.
            static TRIES: Param<u32> = Param::new(0);
        };
        assert_eq!(documentation(&item.attrs), "How many times it is tried.");
    }
}
