//! `#[klp_state]`.

mod native;

use darling::FromMeta;
use klp_format::Table;
use klp_format::manifest::{self, Line};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{ImplItem, ItemImpl, ItemStruct, Type};

use crate::args::{self, Arguments, Flag, Number, Parsed, Text};
use crate::check::callback::{Callback, Owner, is_unit};
use crate::check::id::{check_id, id_assertions};
use crate::check::name::check_name;
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::{self, alignment, c_string, cfgs, entry, hidden, unique};
use crate::span::item_span;

#[derive(FromMeta)]
struct Args {
    id: Option<Number>,
    version: Option<Number>,
    name: Option<Text>,
    block_disable: Option<Flag>,
    native: Option<Flag>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] = &[
        ("id", "id = 1"),
        ("version", "version = 1"),
        ("name", "name = \"…\""),
        ("block_disable", "block_disable"),
        ("native", "native"),
    ];
}

/// In the order of `StateEntry`.
const CALLBACKS: &[Callback] = &[
    Callback {
        name: "pre_patch",
        signature: "fn pre_patch(cx: &StateContext<'_>) -> Result<Self::Data>",
        parameters: 1,
    },
    Callback {
        name: "post_patch",
        signature: "fn post_patch(cx: &StateContext<'_>, data: &Self::Data)",
        parameters: 2,
    },
    Callback {
        name: "pre_unpatch",
        signature: "fn pre_unpatch(cx: &StateContext<'_>, data: &Self::Data)",
        parameters: 2,
    },
    Callback {
        name: "post_unpatch",
        signature: "fn post_unpatch(cx: &StateContext<'_>, data: &Self::Data)",
        parameters: 2,
    },
    Callback {
        name: "take_over",
        signature: "fn take_over(cx: &StateContext<'_>, data: &Self::Data, from: u32)",
        parameters: 3,
    },
];

/// How the messages about a method begin.
const STATE: Owner = Owner { what: "a state", callbacks: CALLBACKS };

/// What the attribute inserts, and what to say to one who wrote it.
const INSERTED: &[(&str, &str)] = &[
    ("ID", "the attribute writes `ID`: leave it out, and write `id = …` there"),
    ("VERSION", "the attribute writes `VERSION`: leave it out, and write `version = …` there"),
    ("NAME", "the attribute writes `NAME`: leave it out, and write `name = \"…\"` there"),
];

/// An implementation of `State`, checked.
struct StateImpl<'a> {
    id: &'a Number,
    name: String,
    block_disable: bool,
    /// The callbacks that are there, in the order of [`CALLBACKS`].
    callbacks: Vec<&'static str>,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let parsed = args::parse(&mut diagnostics, args);
    if let Ok(Parsed { args: Args { native: Some(_), .. }, .. }) = &parsed {
        match syn::parse2::<ItemStruct>(item.clone()) {
            Ok(of) => {
                let table = native::expand(&mut diagnostics, &parsed, &of).unwrap_or_default();
                return diagnostics.attach(quote!(#item #table));
            }
            Err(_) => {
                diagnostics.error_at(
                    item_span(&item),
                    "a `native` state is the kernel's, which calls nothing for it: write the attribute above \
                     `struct …;`, and its callbacks in an `impl Object for …`",
                );
            }
        }
    }
    let block = parse(&mut diagnostics, &item);
    let args = check_args(&mut diagnostics, &parsed);
    let Ok(mut block) = block else {
        return diagnostics.attach(item);
    };
    let callbacks = check_block(&mut diagnostics, &mut block);
    let table = match check(&mut diagnostics, args, callbacks, &block.self_ty) {
        Ok(state) => emit(&state, &block),
        Err(Reported { .. }) => TokenStream::new(),
    };
    if block.generics.lifetimes().next().is_some() {
        // A state is `'static`: rustc would say so three times more.
        return diagnostics.attach(TokenStream::new());
    }
    complete(&mut block, parsed.as_ref().ok());
    diagnostics.attach(quote!(#block #table))
}

/// The item as an `impl State for …`, the only thing that the rest can do something with.
fn parse(diagnostics: &mut Diagnostics, item: &TokenStream) -> Result<ItemImpl, Reported> {
    let block: ItemImpl = syn::parse2(item.clone()).map_err(|_| {
        diagnostics.error_at(
            item_span(item),
            "`#[klp_state]` belongs on an implementation: write it above `impl State for …`",
        )
    })?;
    let ty = &block.self_ty;
    let Some((path, _)) = &block.trait_ else {
        return Err(diagnostics.error(
            ty,
            format!(
                "`#[klp_state]` belongs on an implementation of `State`: write `impl State for {}`",
                ty.to_token_stream()
            ),
        ));
    };
    if path.segments.last().is_none_or(|segment| segment.ident != "State")
        || block.modifiers.polarity.is_some()
    {
        return Err(diagnostics.error(
            path,
            format!(
                "`#[klp_state]` belongs on an implementation of `State`: write `impl State for {}`",
                ty.to_token_stream()
            ),
        ));
    }
    Ok(block)
}

/// Checks what was written in the attribute.
fn check_args<'a>(
    diagnostics: &mut Diagnostics,
    parsed: &'a Result<Parsed<Args>, Reported>,
) -> Result<&'a Args, Reported> {
    let parsed = parsed.as_ref().map_err(|reported| *reported)?;
    parsed.require(diagnostics, "id", "a number that no other state of any patch has");
    parsed.require(diagnostics, "version", "which grows when what the state means does");
    if let Some(id) = &parsed.args.id {
        check_id(diagnostics, id);
    }
    if let Some(name) = &parsed.args.name {
        check_name(diagnostics, &name.value(), name)?;
    }
    Ok(&parsed.args)
}

/// Checks the block, and takes out of it what `State` does not have, or has
/// otherwise, so that rustc does not report it once more.
fn check_block(diagnostics: &mut Diagnostics, block: &mut ItemImpl) -> Vec<&'static str> {
    if !block.generics.params.is_empty() {
        let message = "a state can't be generic: it is one entry of a table, with one id";
        diagnostics.error(&block.generics, message);
    }
    check_items(diagnostics, block)
}

/// Puts both together, if nothing was reported.
fn check<'a>(
    diagnostics: &mut Diagnostics,
    args: Result<&'a Args, Reported>,
    callbacks: Vec<&'static str>,
    ty: &Type,
) -> Result<StateImpl<'a>, Reported> {
    let args = args?;
    let name = match &args.name {
        Some(name) => name.value(),
        None => check_type_name(diagnostics, ty)?,
    };
    diagnostics.check()?;
    let Some(id) = &args.id else {
        return Err(diagnostics.error(ty, "`id` is missing"));
    };
    Ok(StateImpl { id, name, block_disable: args.block_disable.is_some(), callbacks })
}

/// The name of a state whose attribute gives none.
fn check_type_name(diagnostics: &mut Diagnostics, ty: &Type) -> Result<String, Reported> {
    let Some(name) = type_name(ty) else {
        let message = "this type has no name of its own: write `name = \"…\"` in the attribute";
        return Err(diagnostics.error(ty, message));
    };
    check_name(diagnostics, &name, ty)?;
    Ok(name)
}

/// The last segment of a path.
fn type_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.unraw().to_string()),
        Type::Group(group) => type_name(&group.elem),
        Type::Paren(paren) => type_name(&paren.elem),
        _ => None,
    }
}

/// Checks what stands in the block; returns the callbacks that are there.
fn check_items(diagnostics: &mut Diagnostics, block: &mut ItemImpl) -> Vec<&'static str> {
    let mut callbacks = Vec::new();
    // Also those whose signature is wrong.
    let mut has_pre_patch = false;
    let mut data = None;
    block.items.retain(|item| match item {
        ImplItem::Fn(method) => {
            has_pre_patch |= method.sig.ident == "pre_patch";
            match STATE.check_method(diagnostics, method) {
                Ok(callback) => {
                    callbacks.push(callback);
                    true
                }
                Err(Reported { .. }) => false,
            }
        }
        ImplItem::Type(ty) if ty.ident == "Data" => {
            data = Some(ty.ty.clone());
            true
        }
        ImplItem::Type(ty) => {
            let message = format!("`State` has no type `{}`: only `type Data = …`", ty.ident);
            diagnostics.error(&ty.ident, message);
            false
        }
        ImplItem::Const(constant) => {
            let name = constant.ident.to_string();
            let message = INSERTED.iter().find(|(inserted, _)| *inserted == name).map_or_else(
                || format!("`State` has no constant `{name}`: write it outside of the block"),
                |(_, message)| (*message).to_owned(),
            );
            diagnostics.error(&constant.ident, message);
            false
        }
        _ => true,
    });
    if let Some(data) = data
        && !has_pre_patch
        && !is_unit(&data)
    {
        let data = data.to_token_stream();
        diagnostics.error(
            &data,
            format!(
                "nothing makes the data: write `fn pre_patch(cx: &StateContext<'_>) -> Result<{data}>` too"
            ),
        );
    }
    CALLBACKS.iter().map(|callback| callback.name).filter(|name| callbacks.contains(name)).collect()
}

/// What the author wrote for `type Data`.
fn data_type(block: &ItemImpl) -> Option<&Type> {
    block.items.iter().find_map(|item| match item {
        ImplItem::Type(ty) if ty.ident == "Data" => Some(&ty.ty),
        _ => None,
    })
}

/// Inserts what the attribute stands for, also where there were errors: then with
/// placeholders, so that rustc reports no missing items on top.
fn complete(block: &mut ItemImpl, parsed: Option<&Parsed<Args>>) {
    let args = parsed.map(|parsed| &parsed.args);
    let id = args.and_then(|args| args.id.as_ref()).map_or_else(|| quote!(1), |id| quote!(#id));
    let version = args.and_then(|args| args.version.as_ref()).map_or_else(|| quote!(1), |v| quote!(#v));
    let name = args.and_then(|args| args.name.as_ref()).map(Text::value);
    let name = c_string(&name.or_else(|| type_name(&block.self_ty)).unwrap_or_default());

    let has_data = block.items.iter().any(|item| matches!(item, ImplItem::Type(ty) if ty.ident == "Data"));
    let has_pre_patch =
        block.items.iter().any(|item| matches!(item, ImplItem::Fn(f) if f.sig.ident == "pre_patch"));
    let is_unit_data = block
        .items
        .iter()
        .all(|item| !matches!(item, ImplItem::Type(ty) if ty.ident == "Data" && !is_unit(&ty.ty)));

    let mut inserted = vec![
        quote!(const ID: u64 = #id;),
        quote!(const VERSION: u32 = #version;),
        quote!(const NAME: &'static ::core::ffi::CStr = #name;),
        quote! {
            const __SLOT: *const ::klp_runtime::__private::DataSlot = {
                static SLOT: ::klp_runtime::__private::DataSlot = ::klp_runtime::__private::DataSlot::new();
                &raw const SLOT
            };
        },
    ];
    if !has_data {
        inserted.push(quote!(
            type Data = ();
        ));
    }
    if !has_pre_patch {
        let body = if is_unit_data {
            quote!(::core::result::Result::Ok(()))
        } else {
            // Beside an error: a body of any type, that no second error follows from.
            quote!(loop {})
        };
        inserted.push(quote! {
            fn pre_patch(
                _: &::klp_runtime::state::StateContext<'_>,
            ) -> ::klp_runtime::error::Result<Self::Data> {
                #body
            }
        });
    }
    block.items.extend(inserted.into_iter().map(ImplItem::Verbatim));
}

fn emit(state: &StateImpl<'_>, block: &ItemImpl) -> TokenStream {
    let ty = &block.self_ty;
    let cfgs = cfgs(&block.attrs);
    // Names the type where it stands, so that what is wrong with it is said there.
    let as_state = quote_spanned!(ty.span()=> <#ty as ::klp_runtime::state::State>);
    let flags = if state.block_disable { quote!(::klp_runtime::__private::BLOCK_DISABLE) } else { quote!(0) };
    let callbacks = state.callbacks.iter().map(|name| {
        let name = syn::Ident::new(name, proc_macro2::Span::call_site());
        quote!(#name: ::klp_runtime::__callback!(::klp_runtime::__private::#name::<#ty>),)
    });
    let entry = entry(
        Table::States,
        &quote! {
            ::klp_runtime::__private::StateEntry {
                #(#callbacks)*
                ..::klp_runtime::__private::StateEntry::of::<#ty>(#flags)
            }
        },
    );
    let id = quote!(#as_state::ID);
    let unique = unique("DuplicateStateId", &id, state.id);
    let assertions = id_assertions(&id, state.id);
    let alignment = data_type(block).map(|data| alignment(quote!(#as_state::Data), "state data", data));
    let hidden = hidden(&cfgs, &quote!(#entry #unique #assertions #alignment));
    let line = manifest::State {
        id,
        version: quote!(#as_state::VERSION),
        name: state.name.clone(),
        flags,
        callbacks: state.callbacks.iter().map(ToString::to_string).collect(),
    };
    let manifest = emit::manifest(&cfgs, Line::State(line));
    quote!(#hidden #manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_are_in_the_order_of_the_table() {
        let mut diagnostics = Diagnostics::default();
        let mut block: ItemImpl = syn::parse_quote! {
            impl State for S {
                fn post_unpatch(_: &StateContext<'_>, _: &()) {}
                fn pre_patch(_: &StateContext<'_>) -> Result { Ok(()) }
            }
        };
        assert_eq!(check_items(&mut diagnostics, &mut block), ["pre_patch", "post_unpatch"]);
        assert_eq!(diagnostics.messages(), Vec::<String>::new());
    }

    #[test]
    fn a_refused_method_is_taken_out() {
        let mut diagnostics = Diagnostics::default();
        let mut block: ItemImpl = syn::parse_quote! {
            impl State for S { fn pre_path() {} fn post_patch(&self) {} }
        };
        assert!(check_items(&mut diagnostics, &mut block).is_empty());
        assert_eq!(diagnostics.messages().len(), 2);
        assert!(block.items.is_empty());
    }
}
