//! `#[klp_state]`.

mod block;
mod migration;
mod native;

use darling::FromMeta;
use klp_format::Table;
use klp_format::manifest::{self, Line};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{ItemImpl, ItemStruct, Type};

use block::{check_items, data_type, take_migrate};
use migration::Migration;

use crate::args::{self, Arguments, Flag, Nested, Number, Parsed, Text};
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
    from: Option<Nested>,
    native: Option<Flag>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] = &[
        ("id", "id = 1"),
        ("version", "version = 1"),
        ("name", "name = \"…\""),
        ("block_disable", "block_disable"),
        ("from", "from(version = 1, data = OldData)"),
        ("native", "native"),
    ];
}

/// An implementation of `State`, checked.
struct StateImpl<'a> {
    id: &'a Number,
    name: String,
    block_disable: bool,
    /// The callbacks that are there, in the order of [`CALLBACKS`].
    callbacks: Vec<&'static str>,
    migration: Option<Migration>,
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
    let wrote_migrate = block::has_method(&block, migration::MIGRATE);
    let callbacks = check_block(&mut diagnostics, &mut block);
    let migrate = take_migrate(&mut block);
    let migration = if wrote_migrate && migrate.is_none() {
        // Its signature is wrong, which was reported.
        None
    } else {
        migration::check(&mut diagnostics, parsed.as_ref().ok(), migrate)
    };
    let table = match check(&mut diagnostics, args, callbacks, migration, &block.self_ty) {
        Ok(state) => emit(&state, &block),
        Err(Reported { .. }) => TokenStream::new(),
    };
    if block.generics.lifetimes().next().is_some() || type_name(&block.self_ty).is_none() {
        // A state is `'static`, and a type of this crate: rustc would say so three times more.
        return diagnostics.attach(TokenStream::new());
    }
    let declaration = declaration(&block, parsed.as_ref().ok());
    block::complete(&mut block);
    diagnostics.attach(quote!(#block #declaration #table))
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
    migration: Option<Migration>,
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
    Ok(StateImpl { id, name, block_disable: args.block_disable.is_some(), callbacks, migration })
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

/// What the attribute says of the state, also where there were errors: then with placeholders, so that
/// rustc does not report a missing attribute on top.
fn declaration(block: &ItemImpl, parsed: Option<&Parsed<Args>>) -> TokenStream {
    let args = parsed.map(|parsed| &parsed.args);
    let id = args.and_then(|args| args.id.as_ref()).map_or_else(|| quote!(1), |id| quote!(#id));
    let version = args.and_then(|args| args.version.as_ref()).map_or_else(|| quote!(1), |v| quote!(#v));
    let name = args.and_then(|args| args.name.as_ref()).map(Text::value);
    let name = c_string(&name.or_else(|| type_name(&block.self_ty)).unwrap_or_default());
    let (ty, cfgs) = (&block.self_ty, cfgs(&block.attrs));
    let (generics, _, clause) = block.generics.split_for_impl();
    quote! {
        #(#cfgs)*
        // SAFETY: The entry of this type has the slot, and no other has it.
        unsafe impl #generics ::klp_runtime::__private::DeclaredState for #ty #clause {
            const __ID: u64 = #id;
            const __VERSION: u32 = #version;
            const __NAME: &'static ::core::ffi::CStr = #name;
            const __SLOT: *const ::klp_runtime::__private::DataSlot = {
                static SLOT: ::klp_runtime::__private::DataSlot = ::klp_runtime::__private::DataSlot::new();
                &raw const SLOT
            };
        }
    }
}

fn emit(state: &StateImpl<'_>, block: &ItemImpl) -> TokenStream {
    let ty = &block.self_ty;
    let cfgs = cfgs(&block.attrs);
    // Names the type where it stands, so that what is wrong with it is said there.
    let as_state = quote_spanned!(ty.span()=> <#ty as ::klp_runtime::state::State>);
    let flags = if state.block_disable { quote!(::klp_runtime::__private::BLOCK_DISABLE) } else { quote!(0) };
    let methods = state.callbacks.iter().filter(|name| **name != migration::MIGRATE);
    let callbacks = methods.map(|name| {
        let name = syn::Ident::new(name, proc_macro2::Span::call_site());
        quote!(#name: ::klp_runtime::__callback!(::klp_runtime::__private::#name::<#ty>),)
    });
    let migration = state.migration.as_ref().map(|migration| migration.emit(block));
    let from =
        state.migration.as_ref().map(|_| quote!(from: ::klp_runtime::__private::Migration::of::<#ty>(),));
    let entry = entry(
        Table::States,
        &quote! {
            ::klp_runtime::__private::StateEntry {
                #(#callbacks)*
                #from
                ..::klp_runtime::__private::StateEntry::of::<#ty>(#flags)
            }
        },
    );
    let id = quote!(#as_state::ID);
    let unique = unique("StateIdUsedTwice", &id, state.id);
    let assertions = id_assertions(&id, state.id);
    let alignment = data_type(block).map(|data| alignment(quote!(#as_state::Data), "state data", data));
    let hidden = hidden(&cfgs, &quote!(#entry #unique #assertions #alignment #migration));
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
