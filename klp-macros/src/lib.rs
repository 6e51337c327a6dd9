//! The macros of klp.

mod args;
mod diagnostics;
mod emit;
mod item;
mod klp_data;
mod klp_func;
mod klp_state;
mod livepatch;
mod shadow;

use proc_macro::TokenStream;

/// Declares the patch.
#[proc_macro]
pub fn livepatch(input: TokenStream) -> TokenStream {
    livepatch::expand(input.into()).into()
}

/// Redirects a function.
#[proc_macro_attribute]
pub fn klp_func(args: TokenStream, item: TokenStream) -> TokenStream {
    klp_func::expand(args.into(), item.into()).into()
}

/// Declares a state.
#[proc_macro_attribute]
pub fn klp_state(args: TokenStream, item: TokenStream) -> TokenStream {
    klp_state::expand(args.into(), item.into()).into()
}

/// Declares a shadow variable.
#[proc_macro_attribute]
pub fn shadow(args: TokenStream, item: TokenStream) -> TokenStream {
    shadow::expand(args.into(), item.into()).into()
}

/// Computes the fingerprint of a layout.
#[proc_macro_derive(KlpData, attributes(klp))]
pub fn derive_klp_data(item: TokenStream) -> TokenStream {
    klp_data::expand(item.into()).into()
}
