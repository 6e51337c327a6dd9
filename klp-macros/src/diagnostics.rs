//! Errors: collected, shown all at once, with the user's item still emitted.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Attribute;

/// The errors of one use of a macro.
#[derive(Default)]
pub(crate) struct Diagnostics {
    /// Each with the `#[cfg]`s under which it is one.
    errors: Vec<(TokenStream, syn::Error)>,
}

/// Proves that an error was reported: only [`Diagnostics`] makes one.
///
/// A stage that gives up returns it, so it can't do so silently.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported(());

impl Diagnostics {
    /// Reports an error at `tokens`, all of them.
    pub(crate) fn error(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) -> Reported {
        self.push(syn::Error::new_spanned(tokens, message))
    }

    /// Reports an error at `span`.
    pub(crate) fn error_at(&mut self, span: Span, message: impl std::fmt::Display) -> Reported {
        self.push(syn::Error::new(span, message))
    }

    /// Reports an error of a parser.
    pub(crate) fn push(&mut self, error: syn::Error) -> Reported {
        self.errors.push((TokenStream::new(), error));
        Reported(())
    }

    /// Fails if anything was reported.
    pub(crate) fn check(&self) -> Result<(), Reported> {
        if self.errors.is_empty() { Ok(()) } else { Err(Reported(())) }
    }

    /// Fails if anything was reported since there were so many errors.
    pub(crate) fn check_from(&self, first: usize) -> Result<(), Reported> {
        if self.errors.len() == first { Ok(()) } else { Err(Reported(())) }
    }

    /// How many errors there are.
    pub(crate) fn len(&self) -> usize {
        self.errors.len()
    }

    /// Makes the errors from `first` on errors only where the `#[cfg]`s hold.
    pub(crate) fn only_with(&mut self, first: usize, cfgs: &[&Attribute]) {
        for (conditions, _) in &mut self.errors[first..] {
            *conditions = quote!(#(#cfgs)*);
        }
    }

    /// What the macro expands to: `item` and the errors.
    pub(crate) fn attach(self, mut item: TokenStream) -> TokenStream {
        for (conditions, error) in &self.errors {
            item.extend(conditions.clone());
            item.extend(error.to_compile_error());
        }
        item
    }

    /// The messages, for unit tests.
    #[cfg(test)]
    pub(crate) fn messages(&self) -> Vec<String> {
        self.errors.iter().map(|(_, error)| error.to_string()).collect()
    }
}

/// The one of `known` that `typed` is most likely meant to be.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&typed, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_is_case_blind_and_has_a_limit() {
        assert_eq!(nearest("licence", ["license", "authors"]), Some("license"));
        assert_eq!(nearest("GPLV2", ["GPL v2", "Dual MIT/GPL"]), Some("GPL v2"));
        assert_eq!(nearest("colour", ["license", "authors"]), None);
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(list(["a"]), "`a`");
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
