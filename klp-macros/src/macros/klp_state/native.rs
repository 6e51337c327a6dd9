//! `#[klp_state(…, native)]`.

use klp_format::Table;
use klp_format::manifest::{self, Line};
use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemStruct;

use super::{Args, check_args};
use crate::args::Parsed;
use crate::check::id::id_assertions;
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::{self, cfgs, entry, hidden, unique};

/// A state of the kernel's own table, which has no callbacks: a struct stands for it.
pub(super) fn expand(
    diagnostics: &mut Diagnostics,
    parsed: &Result<Parsed<Args>, Reported>,
    item: &ItemStruct,
) -> Result<TokenStream, Reported> {
    let args = check_args(diagnostics, parsed)?;
    if !item.generics.params.is_empty() {
        diagnostics
            .error(&item.generics, "a state can't be generic: it is one entry of a table, with one id");
    }
    let refused = "is of states with callbacks: the kernel's own has an id and a version only";
    if let Some(name) = &args.name {
        diagnostics.error(name, format!("`name` {refused}"));
    }
    if let Some(from) = &args.from {
        diagnostics.error_at(from.span(), format!("`from` {refused}"));
    }
    if args.block_disable.is_some() {
        diagnostics.error(&item.ident, format!("`block_disable` {refused}"));
    }
    diagnostics.check()?;
    let (Some(id), Some(version)) = (&args.id, &args.version) else {
        return Err(diagnostics.error(&item.ident, "`id` or `version` is missing"));
    };
    let (ty, cfgs) = (&item.ident, cfgs(&item.attrs));
    let as_native = quote!(<#ty as ::klp_runtime::native::NativeState>);
    let entry = entry(Table::Natives, &quote!(::klp_runtime::__private::NativeEntry::of::<#ty>()));
    let own_id = quote!(#as_native::ID);
    let unique = unique("NativeStateIdUsedTwice", &own_id, id);
    let assertions = id_assertions(&own_id, id);
    let hidden = hidden(
        &cfgs,
        &quote! {
            impl ::klp_runtime::native::NativeState for #ty {
                const ID: u64 = #id;
                const VERSION: u32 = #version;
            }
            #entry
            #unique
            #assertions
        },
    );
    let line = manifest::Native { id: own_id, version: quote!(#as_native::VERSION) };
    let manifest = emit::manifest(&cfgs, Line::Native(line));
    Ok(quote!(#hidden #manifest))
}
