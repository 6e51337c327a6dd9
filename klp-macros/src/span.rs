//! Where something stands in the source: for errors here, and for messages of the build.
#![expect(
    clippy::incompatible_msrv,
    reason = "an unstable feature of rustc before 1.88: see `klp_old_spans`"
)]

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Visibility};

/// Where an item starts, behind its attributes and its visibility.
pub(crate) fn item_span(item: &TokenStream) -> Span {
    let start = |input: ParseStream<'_>| {
        input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        let rest: TokenStream = input.parse()?;
        Ok(rest.into_iter().next().as_ref().map_or_else(Span::call_site, TokenTree::span))
    };
    start.parse2(item.clone()).unwrap_or_else(|_| Span::call_site())
}

/// `file:line:column`; `None` where no compiler is at work.
pub(crate) fn source_location(tokens: impl ToTokens) -> Option<String> {
    start(tokens).map(|span| format!("{}:{}:{}", file(span), span.line(), span.column()))
}

/// `line:column`, in the same file as something else.
pub(crate) fn line_and_column(tokens: impl ToTokens) -> Option<String> {
    start(tokens).map(|span| format!("{}:{}", span.line(), span.column()))
}

#[cfg(not(klp_old_spans))]
fn file(span: proc_macro::Span) -> String {
    span.file()
}

/// As rustc before 1.88 has it, unstable.
#[cfg(klp_old_spans)]
fn file(span: proc_macro::Span) -> String {
    span.source_file().path().display().to_string()
}

fn start(tokens: impl ToTokens) -> Option<proc_macro::Span> {
    let first = tokens.into_token_stream().into_iter().next();
    let span = first.map_or_else(Span::call_site, |token| token.span());
    proc_macro::is_available().then(|| span.unwrap().start())
}
