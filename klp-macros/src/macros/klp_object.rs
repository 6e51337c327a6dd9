//! `#[klp_object]`.

use darling::FromMeta;
use klp_format::manifest::{self, Line};
use klp_format::{Table, VMLINUX};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ImplItem, ItemImpl};

use crate::args::{self, Arguments, Parsed, Text};
use crate::check::callback::{Callback, Owner, refuse_macro};
use crate::check::name::check_object;
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::{self, c_string, cfgs, entry, hidden, unique};
use crate::span::item_span;

#[derive(FromMeta)]
struct Args {
    name: Option<Text>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] = &[("name", "name = \"nf_tables\"")];
}

/// In the order of `ObjectEntry`.
const OBJECT: Owner = Owner {
    what: "an object",
    callbacks: &[
        Callback {
            name: "pre_patch",
            signature: "fn pre_patch(object: &ObjectContext<'_>) -> Result",
            parameters: 1,
            fallible: Some("succeeds"),
        },
        Callback {
            name: "post_patch",
            signature: "fn post_patch(object: &ObjectContext<'_>)",
            parameters: 1,
            fallible: None,
        },
        Callback {
            name: "pre_unpatch",
            signature: "fn pre_unpatch(object: &ObjectContext<'_>)",
            parameters: 1,
            fallible: None,
        },
        Callback {
            name: "post_unpatch",
            signature: "fn post_unpatch(object: &ObjectContext<'_>)",
            parameters: 1,
            fallible: None,
        },
    ],
};

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let parsed = args::parse(&mut diagnostics, args);
    let block = parse(&mut diagnostics, &item);
    let name = check_args(&mut diagnostics, &parsed);
    let Ok(mut block) = block else {
        return diagnostics.attach(item);
    };
    let callbacks = check_items(&mut diagnostics, &mut block);
    let table = match (name, diagnostics.check()) {
        (Ok(name), Ok(())) => emit(&block, name, &callbacks),
        _ => TokenStream::new(),
    };
    let declaration = declaration(&block, name.ok());
    diagnostics.attach(quote!(#block #declaration #table))
}

/// The item as an `impl Object for …`.
fn parse(diagnostics: &mut Diagnostics, item: &TokenStream) -> Result<ItemImpl, Reported> {
    let block: ItemImpl = syn::parse2(item.clone()).map_err(|_| {
        diagnostics.error_at(
            item_span(item),
            "`#[klp_object]` belongs on an implementation: write it above `impl Object for …`",
        )
    })?;
    let is_object = block.trait_.as_ref().is_some_and(|(path, _)| {
        path.segments.last().is_some_and(|segment| segment.ident == "Object")
            && block.modifiers.polarity.is_none()
    });
    if is_object {
        return Ok(block);
    }
    let ty = &block.self_ty;
    let message = format!(
        "`#[klp_object]` belongs on an implementation of `Object`: write `impl Object for {}`",
        ty.to_token_stream()
    );
    Err(match &block.trait_ {
        Some((path, _)) => diagnostics.error(path, message),
        None => diagnostics.error(ty, message),
    })
}

fn check_args<'a>(
    diagnostics: &mut Diagnostics,
    parsed: &'a Result<Parsed<Args>, Reported>,
) -> Result<&'a Text, Reported> {
    let parsed = parsed.as_ref().map_err(|reported| *reported)?;
    parsed.require(diagnostics, "name", "or `name = \"vmlinux\"` for the kernel itself");
    match &parsed.args.name {
        Some(name) => {
            check_object(diagnostics, name);
            Ok(name)
        }
        None => Err(diagnostics
            .check()
            .err()
            .unwrap_or_else(|| diagnostics.error_at(parsed.place(), "`name` is missing"))),
    }
}

/// Checks what stands in the block, takes out what an object does not have, and returns the callbacks.
fn check_items(diagnostics: &mut Diagnostics, block: &mut ItemImpl) -> Vec<&'static str> {
    if !block.generics.params.is_empty() {
        diagnostics.error(&block.generics, "an object can't be generic: it is one entry of a table");
    }
    let mut found = Vec::new();
    block.items.retain(|item| match item {
        ImplItem::Fn(method) => match OBJECT.check_method(diagnostics, method) {
            Ok(callback) => {
                found.push(callback);
                true
            }
            Err(Reported { .. }) => false,
        },
        ImplItem::Const(constant) if constant.ident == "NAME" => {
            let message = "the attribute writes `NAME`: leave it out, and write `name = \"…\"` there";
            diagnostics.error(&constant.ident, message);
            false
        }
        ImplItem::Const(constant) => {
            let message =
                format!("`Object` has no constant `{}`: write it outside of the block", constant.ident);
            diagnostics.error(&constant.ident, message);
            false
        }
        ImplItem::Type(ty) => {
            let message = format!("`Object` has no type `{}`: write it outside of the block", ty.ident);
            diagnostics.error(&ty.ident, message);
            false
        }
        ImplItem::Macro(call) => {
            refuse_macro(diagnostics, call);
            false
        }
        _ => true,
    });
    OBJECT.callbacks.iter().map(|callback| callback.name).filter(|name| found.contains(name)).collect()
}

/// What the attribute says of the object, also where there were errors: then as of vmlinux, so that rustc
/// does not report a missing attribute on top.
fn declaration(block: &ItemImpl, name: Option<&Text>) -> TokenStream {
    let name = match name.map(Text::value).filter(|name| name != VMLINUX) {
        Some(name) => {
            let name = c_string(&name);
            quote!(::core::option::Option::Some(#name))
        }
        None => quote!(::core::option::Option::None),
    };
    let (ty, cfgs) = (&block.self_ty, cfgs(&block.attrs));
    let (generics, _, clause) = block.generics.split_for_impl();
    quote! {
        #(#cfgs)*
        impl #generics ::klp_runtime::__private::DeclaredObject for #ty #clause {
            const __NAME: ::core::option::Option<&'static ::core::ffi::CStr> = #name;
        }
    }
}

fn emit(block: &ItemImpl, name: &Text, callbacks: &[&'static str]) -> TokenStream {
    let ty = &block.self_ty;
    let cfgs = cfgs(&block.attrs);
    let fields = callbacks.iter().map(|name| {
        let field = quote::format_ident!("{name}");
        let trampoline = quote::format_ident!("object_{name}");
        quote!(#field: ::klp_runtime::__callback!(::klp_runtime::__private::#trampoline::<#ty>),)
    });
    let of = quote_spanned!(ty.span()=> ::klp_runtime::__private::ObjectEntry::of::<#ty>());
    let entry = entry(Table::Objects, &quote!(::klp_runtime::__private::ObjectEntry { #(#fields)* ..#of }));
    let value = name.value();
    let unique = unique("ObjectDeclaredTwice", &quote!(::klp_runtime::__private::name_key(#value)), name);
    let hidden = hidden(&cfgs, &quote!(#entry #unique));
    let callbacks = callbacks.iter().map(ToString::to_string).collect();
    let manifest = emit::manifest(&cfgs, Line::Object(manifest::Object { name: value, callbacks }));
    quote!(#hidden #manifest)
}
