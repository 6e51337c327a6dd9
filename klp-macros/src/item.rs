//! Items that an attribute was put on by mistake.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Visibility};

/// Where an item starts, behind its attributes and its visibility.
pub(crate) fn place(item: &TokenStream) -> Span {
    let start = |input: ParseStream<'_>| {
        input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        let rest: TokenStream = input.parse()?;
        Ok(rest.into_iter().next().as_ref().map_or_else(Span::call_site, TokenTree::span))
    };
    start.parse2(item.clone()).unwrap_or_else(|_| Span::call_site())
}
