//! Arguments of macros: what is common to all lists of them.
//!
//! darling fills the argument structs of the macros. What users meet most is
//! checked here before, so that it is said the same way for all macros: unknown
//! and repeated keys, and values of the wrong type.

mod value;

use std::collections::BTreeSet;

use darling::FromMeta;
use darling::ast::NestedMeta;
use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{Expr, Meta, MetaNameValue, Path};

use crate::diagnostics::{Diagnostics, Reported, list, nearest};

pub(crate) use value::{Flag, Name, Nested, Number, Switch, Text, Texts, TypeName};

/// The arguments of a macro.
///
/// Every field of the struct is optional for darling; what is missing is said
/// with [`Parsed::require`].
pub(crate) trait Arguments: FromMeta {
    /// Each key, with what to write for it.
    const KEYS: &'static [(&'static str, &'static str)];
}

/// Arguments, and which keys were written, well or not.
pub(crate) struct Parsed<A> {
    /// What was understood.
    pub(crate) args: A,
    /// The keys that were written, also under a wrong name or with a value that was refused.
    written: BTreeSet<String>,
    /// Where the macro was called: the place of errors about what is missing.
    place: Span,
}

impl<A: Arguments> Parsed<A> {
    /// Whether `key` was written, even with a value that was refused.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.written.contains(key)
    }

    /// Reports a missing key: `because` says why it is needed.
    pub(crate) fn require(&self, diagnostics: &mut Diagnostics, key: &str, because: &str) {
        if !self.has(key) {
            let usage = usage::<A>(key);
            diagnostics.error_at(self.place, format!("`{key}` is missing: write `{usage}`, {because}"));
        }
    }

    /// Takes every key for written: where the syntax is wrong, none can be called missing.
    pub(crate) fn assume_written(&mut self) {
        self.written = A::KEYS.iter().map(|(name, _)| (*name).to_owned()).collect();
    }

    /// The place of errors about the arguments as a whole.
    pub(crate) fn place(&self) -> Span {
        self.place
    }
}

/// What to write for `key`.
fn usage<A: Arguments>(key: &str) -> &'static str {
    A::KEYS.iter().find(|(name, _)| *name == key).map_or("", |(_, usage)| usage)
}

/// Parses the arguments of an attribute.
pub(crate) fn parse<A: Arguments>(
    diagnostics: &mut Diagnostics,
    tokens: TokenStream,
) -> Result<Parsed<A>, Reported> {
    let items = NestedMeta::parse_meta_list(tokens).map_err(|error| {
        let (_, example) = A::KEYS[0];
        // syn's own words, which say what it expected there, behind what is meant.
        let message = format!("these are not arguments, which look like `{example}`: {error}");
        diagnostics.error_at(error.span(), message)
    })?;
    Ok(from_items(diagnostics, items))
}

/// Fills the arguments of a macro from `items`, reporting what is wrong with each of them.
pub(crate) fn from_items<A: Arguments>(diagnostics: &mut Diagnostics, items: Vec<NestedMeta>) -> Parsed<A> {
    let mut written = BTreeSet::new();
    // What was probably meant by a key that is unknown or not there.
    let mut meant = BTreeSet::new();
    let mut good = Vec::new();
    for item in items {
        let Some(path) = path(&item) else {
            diagnostics.error(&item, format!("a value without a key: {}", known_keys::<A>()));
            // It may be meant for any of them.
            meant.extend(A::KEYS.iter().map(|(name, _)| (*name).to_owned()));
            continue;
        };
        let key = path.to_token_stream().to_string().replace(' ', "");
        if !A::KEYS.iter().any(|(name, _)| *name == key) {
            let nearest = nearest(&key, A::KEYS.iter().map(|(name, _)| *name));
            diagnostics.error(path, unknown_key::<A>(&key, nearest));
            // What is written under a wrong name is not missing as well.
            meant.extend(nearest.map(str::to_owned));
            continue;
        }
        if !written.insert(key.clone()) {
            diagnostics.error(path, format!("`{key}` is written twice: keep one"));
            continue;
        }
        // Alone, so that one bad value does not take the others with it.
        match A::from_list(std::slice::from_ref(&item)) {
            Ok(_) => good.push(item),
            Err(error) => {
                for error in error.flatten() {
                    report(diagnostics, &item, error.into());
                }
            }
        }
    }
    let args = match A::from_list(&good) {
        Ok(args) => args,
        Err(error) => unreachable!("each was parsed before, and no key is required: {error}"),
    };
    written.extend(meant);
    Parsed { args, written, place: Span::call_site() }
}

/// Parses the arguments in parentheses behind a key.
pub(crate) fn nested<A: Arguments>(
    diagnostics: &mut Diagnostics,
    list: &Nested,
) -> Result<Parsed<A>, Reported> {
    Ok(Parsed { place: list.span(), ..parse(diagnostics, list.tokens())? })
}

fn path(item: &NestedMeta) -> Option<&Path> {
    match item {
        NestedMeta::Meta(meta) => Some(meta.path()),
        NestedMeta::NameValueInvalidExpr(meta) => Some(&meta.path),
        NestedMeta::Lit(_) => None,
    }
}

/// Reports what is wrong with `item`, of which darling keeps where it starts only.
fn report(diagnostics: &mut Diagnostics, item: &NestedMeta, error: syn::Error) {
    match item {
        NestedMeta::Meta(Meta::NameValue(MetaNameValue { value, .. }))
            if !matches!(value, Expr::Array(_)) =>
        {
            diagnostics.error(value, error);
        }
        NestedMeta::Meta(Meta::Path(_) | Meta::List(_)) => {
            diagnostics.error(item, error);
        }
        _ => {
            diagnostics.push(error);
        }
    }
}

fn unknown_key<A: Arguments>(key: &str, nearest: Option<&str>) -> String {
    let known = known_keys::<A>();
    match nearest {
        Some(name) if A::KEYS.len() == 1 => format!("unknown key `{key}`: did you mean `{name}`?"),
        Some(name) => format!("unknown key `{key}`: did you mean `{name}`? ({known})"),
        None => format!("unknown key `{key}`: {known}"),
    }
}

/// The keys that there are, as the end of a sentence.
fn known_keys<A: Arguments>() -> String {
    let names = list(A::KEYS.iter().map(|(name, _)| *name));
    if A::KEYS.len() == 1 { format!("the only key is {names}") } else { format!("the keys are {names}") }
}
