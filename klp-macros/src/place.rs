//! Where something stands in the source, for messages of the build.

use proc_macro2::Span;
use quote::ToTokens;

/// `file:line:column`; `None` where no compiler is at work.
pub(crate) fn of(tokens: impl ToTokens) -> Option<String> {
    start(tokens).map(|span| format!("{}:{}:{}", span.file(), span.line(), span.column()))
}

/// `line:column`, in the same file as something else.
pub(crate) fn in_file(tokens: impl ToTokens) -> Option<String> {
    start(tokens).map(|span| format!("{}:{}", span.line(), span.column()))
}

fn start(tokens: impl ToTokens) -> Option<proc_macro::Span> {
    let first = tokens.into_token_stream().into_iter().next();
    let span = first.map_or_else(Span::call_site, |token| token.span());
    proc_macro::is_available().then(|| span.unwrap().start())
}
