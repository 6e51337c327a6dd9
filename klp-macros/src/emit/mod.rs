//! Tokens that more than one macro emits.

mod lines;
pub(crate) mod redirect;
mod signature;
pub(crate) mod symbol;

use std::ffi::CString;

use klp_format::{Table, env};
use proc_macro2::{Delimiter, Group, Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Attribute;

pub(crate) use lines::{manifest, modinfo, modinfo_number};

/// The type that `livepatch!` declares and everything else refers to.
///
/// Its name is part of an error message: "cannot find type `…` in the crate root" is what an author reads who forgot
/// `livepatch!`, put it in a module, or declares in a library what belongs in the patch.
const PATCH_TYPE: &str = "livepatch_is_missing_write_it_if_this_crate_is_the_patch";

/// [`PATCH_TYPE`], where it is declared.
pub(crate) fn patch_type() -> Ident {
    Ident::new(PATCH_TYPE, Span::call_site())
}

/// The path of [`PATCH_TYPE`], whose errors point at `at`. It is an error itself in a library of the patch that is built.
pub(crate) fn patch_path(at: Span) -> TokenStream {
    let package = |variable| std::env::var(variable).unwrap_or_default();
    let (patch, this) = (package(env::PATCH), package("CARGO_PKG_NAME"));
    if patch.is_empty() || patch == this {
        let patch = Ident::new(PATCH_TYPE, at);
        return quote_spanned!(at=> crate::#patch);
    }
    let message = format!(
        "only the crate of the patch can declare this, and `{this}` is a library of the patch `{patch}`: declare it \
         there, or offer a `macro_rules!` here that does"
    );
    quote_spanned!(at=> ::core::compile_error!(#message))
}

/// The `#[cfg]` attributes among `attrs`, for what is generated beside the item.
pub(crate) fn cfgs(attrs: &[Attribute]) -> Vec<&Attribute> {
    attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect()
}

/// The section of a table on the host: each crate's is its own there, as one
/// test may have several patches. The linker bounds it by symbols of its name.
pub(crate) fn host_section(table: Table) -> String {
    host_symbol(table.section())
}

/// A name for the linker that is this crate's own on the host.
pub(crate) fn host_symbol(name: &str) -> String {
    format!("{name}_of_{}", crate_name())
}

/// The name of the crate that is compiled, as cargo gives it.
pub(crate) fn crate_name() -> String {
    std::env::var("CARGO_CRATE_NAME").unwrap_or_default()
}

/// One entry of a table: a static in its link section.
pub(crate) fn entry(table: Table, value: &TokenStream) -> TokenStream {
    let (section, host) = (table.section(), host_section(table));
    let kind = entry_type(table);
    quote! {
        #[used]
        #[cfg_attr(target_os = "none", unsafe(link_section = #section))]
        #[cfg_attr(not(target_os = "none"), unsafe(link_section = #host))]
        static __KLP_ENTRY: #kind = #value;
    }
}

/// The type of a table's entries.
pub(crate) fn entry_type(table: Table) -> TokenStream {
    let name = match table {
        Table::Patch => "PatchEntry",
        Table::Funcs => "FuncEntry",
        Table::States => "StateEntry",
        Table::Shadows => "ShadowEntry",
        Table::Objects => "ObjectEntry",
        Table::Natives => "NativeEntry",
        Table::Hooks => "HookEntry",
    };
    let name = Ident::new(name, Span::call_site());
    quote!(::klp_runtime::__private::#name)
}

/// Generated items that need no name, with the item's `#[cfg]`s.
pub(crate) fn hidden(cfgs: &[&Attribute], items: &TokenStream) -> TokenStream {
    quote! {
        #(#cfgs)*
        const _: () = {
            #items
        };
    }
}

/// `impl Duplicate…<{ key }> for the patch`: a second one with the same key is an error at both.
///
/// `at` is what the user wrote for the key: where the error points.
pub(crate) fn unique(name: &str, key: &TokenStream, at: impl ToTokens) -> TokenStream {
    let name = Ident::new(name, Span::call_site());
    let (first, last) = ends(at);
    // rustc marks an impl from its first token, which is the least of all, to the type.
    let head = quote_spanned!(first=> impl);
    let patch = patch_path(last);
    let tail = quote_spanned!(last=> for #patch {});
    quote! {
        #head ::klp_runtime::__private::#name<{ #key }> #tail
    }
}

/// `assert!` of a constant whose error points at what the user wrote.
pub(crate) fn assertion(condition: &TokenStream, message: &str, at: impl ToTokens) -> TokenStream {
    let (first, last) = ends(at);
    let path = quote_spanned!(first=> ::core::assert!);
    let mut arguments = Group::new(Delimiter::Parenthesis, quote!(#condition, #message));
    arguments.set_span(last);
    quote! {
        const _: () = #path #arguments;
    }
}

/// Refuses data that need more alignment than the kernel's allocations have; the error points at `at`.
pub(crate) fn alignment(ty: impl ToTokens, what: &str, at: impl ToTokens) -> TokenStream {
    assertion(
        &quote!(::core::mem::align_of::<#ty>() <= ::klp_runtime::layout::MAX_ALIGN),
        &format!(
            "{what} must not need more than 8 bytes of alignment: the kernel's allocations have no more"
        ),
        at,
    )
}

/// The first and the last span of some tokens, resolving names where the macro is called.
fn ends(tokens: impl ToTokens) -> (Span, Span) {
    let mut tokens = tokens.into_token_stream().into_iter();
    let first = tokens.next().map_or_else(Span::call_site, |token| token.span());
    let last = tokens.last().map_or(first, |token| token.span());
    let here = |span| Span::call_site().located_at(span);
    (here(first), here(last))
}

/// A C string literal; the text has no NUL, which [`check_name`] and its like see to.
pub(crate) fn c_string(text: &str) -> Literal {
    Literal::c_string(&CString::new(text.replace('\0', "")).unwrap_or_default())
}
