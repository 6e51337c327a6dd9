//! `#[cfg]` in a `kernel_types!` block.
//!
//! rustc applies it to what the macro makes. What depends on the kernel alone the macro decides itself: the layout
//! of a structure must be known, and an item that the kernel lacks is not looked for.

use std::env;

use klp_format::condition::{Condition, read_answer};
use klp_format::env as names;
use proc_macro2::Ident;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, MetaList, Token};

use super::block::{Block, FieldName, Kind};
use crate::diagnostics::Diagnostics;
use crate::emit::cfgs;

/// Removes from a block what the kernel has no use for.
pub(super) fn apply(diagnostics: &mut Diagnostics, block: &mut Block) {
    let answers = Answers(env::var(names::CONDITIONS).ok());
    let mut may_hold = |attrs: &[Attribute]| answers.all(diagnostics, attrs) != Some(false);
    block.headers.retain(|header| may_hold(&header.attrs));
    block.items.retain(|item| may_hold(&item.attrs));
    for item in &mut block.items {
        let reported = diagnostics.len();
        if let Kind::Structure(Some(fields)) = &mut item.kind {
            fields.retain(|field| keeps(diagnostics, &answers, field));
        }
        diagnostics.only_with(reported, &cfgs(&item.attrs));
    }
}

/// Whether a field is one of the structure on this kernel.
fn keeps(diagnostics: &mut Diagnostics, answers: &Answers, field: &FieldName) -> bool {
    answers.all(diagnostics, &field.attrs).unwrap_or_else(|| {
        diagnostics.error(
            &field.attrs[0],
            "the layout of a structure must be known before this `#[cfg]` is: a field may ask about the kernel \
             (`kernel_has`, `kernel_since`, `CONFIG_…`); for other conditions, write the structure once for each case, \
             with `#[cfg]` above it",
        );
        true
    })
}

/// What `cargo klp` says of the conditions; without it, none holds.
struct Answers(Option<String>);

impl Answers {
    /// Whether all `#[cfg]`s hold; `None` where that does not depend on the kernel alone.
    fn all(&self, diagnostics: &mut Diagnostics, attrs: &[Attribute]) -> Option<bool> {
        let predicates: Vec<Option<Meta>> = cfgs(attrs).iter().map(|cfg| cfg.parse_args().ok()).collect();
        all(predicates.iter().map(|predicate| self.holds(diagnostics, predicate.as_ref()?)))
    }

    fn holds(&self, diagnostics: &mut Diagnostics, predicate: &Meta) -> Option<bool> {
        match predicate {
            Meta::Path(name) => self.answer(diagnostics, name.get_ident()?, None),
            Meta::NameValue(pair) => match &pair.value {
                Expr::Lit(ExprLit { lit: Lit::Str(value), .. }) => {
                    self.answer(diagnostics, pair.path.get_ident()?, Some(&value.value()))
                }
                _ => None,
            },
            Meta::List(list) => {
                let inner = inner(list)?;
                let mut holds = |inner| self.holds(diagnostics, inner);
                match &*list.path.get_ident()?.to_string() {
                    "all" => all(inner.iter().map(holds)),
                    "any" => {
                        all(inner.iter().map(|inner| holds(inner).map(|holds| !holds))).map(|none| !none)
                    }
                    "not" => holds(inner.first()?).map(|holds| !holds),
                    _ => None,
                }
            }
        }
    }

    /// The answer to a condition on the kernel; `None` for other conditions.
    fn answer(&self, diagnostics: &mut Diagnostics, name: &Ident, value: Option<&str>) -> Option<bool> {
        let condition = match Condition::parse(&name.to_string(), value)? {
            Ok(condition) => condition,
            Err(why) => {
                diagnostics.error(name, why);
                return Some(false);
            }
        };
        let Some(answers) = &self.0 else { return Some(false) };
        read_answer(answers, &condition).or_else(|| {
            diagnostics.error(
                name,
                "`cargo klp` has not answered this condition: it must stand in the patch crate's own source, written out",
            );
            Some(false)
        })
    }
}

fn inner(list: &MetaList) -> Option<Punctuated<Meta, Token![,]>> {
    list.parse_args_with(Punctuated::parse_terminated).ok()
}

/// Whether all hold: `None` where one is unknown and the others do.
fn all(answers: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut is_known = true;
    for answer in answers {
        match answer {
            Some(true) => {}
            Some(false) => return Some(false),
            None => is_known = false,
        }
    }
    is_known.then_some(true)
}

#[cfg(test)]
mod tests {
    use klp_format::condition::write_answers;
    use syn::parse_quote;

    use super::*;

    /// What `#[cfg(predicate)]` is where `fn there` exists and `fn gone` does not, and what is reported.
    fn of(cfg: &Attribute) -> (Option<bool>, Vec<String>) {
        let has = |item| Condition::parse("kernel_has", Some(item)).unwrap().unwrap();
        let (there, gone) = (has("fn there"), has("fn gone"));
        let answers = Answers(Some(write_answers([(&there, true), (&gone, false)])));
        let mut diagnostics = Diagnostics::default();
        (answers.all(&mut diagnostics, std::slice::from_ref(cfg)), diagnostics.messages())
    }

    #[test]
    fn the_kernel_decides_where_nothing_else_matters() {
        let cases: [(Attribute, Option<bool>); 8] = [
            (parse_quote!(#[cfg(kernel_has = "fn there")]), Some(true)),
            (parse_quote!(#[cfg(not(kernel_has = "fn there"))]), Some(false)),
            (parse_quote!(#[cfg(all(kernel_has = "fn gone", feature = "x"))]), Some(false)),
            (parse_quote!(#[cfg(all(kernel_has = "fn there", feature = "x"))]), None),
            (parse_quote!(#[cfg(any(kernel_has = "fn there", feature = "x"))]), Some(true)),
            (parse_quote!(#[cfg(any(kernel_has = "fn gone", feature = "x"))]), None),
            (parse_quote!(#[cfg(any())]), Some(false)),
            (parse_quote!(#[doc = "no condition"]), Some(true)),
        ];
        for (cfg, expected) in cases {
            assert_eq!(of(&cfg), (expected, Vec::new()));
        }
    }

    #[test]
    fn a_condition_without_an_answer_is_an_error() {
        let unknown: [(Attribute, &str); 3] = [
            (parse_quote!(#[cfg(kernel_has = "fn other")]), "`cargo klp` has not answered"),
            (parse_quote!(#[cfg(kernel_has = "other")]), "expected `struct NAME`"),
            (parse_quote!(#[cfg(kernel_since)]), "expected a value"),
        ];
        for (cfg, expected) in unknown {
            let (_, messages) = of(&cfg);
            assert!(matches!(&*messages, [message] if message.starts_with(expected)), "{messages:?}");
        }
    }

    #[test]
    fn without_answers_none_holds() {
        let all = |cfg: Attribute| Answers(None).all(&mut Diagnostics::default(), &[cfg]);
        assert_eq!(all(parse_quote!(#[cfg(CONFIG_SMP)])), Some(false));
        assert_eq!(all(parse_quote!(#[cfg(not(CONFIG_SMP))])), Some(true));
    }
}
