//! The `livepatch!` of the next version, and the test of the replacement.

use std::ops::Range;

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Ident, Item, Lit, Token};

/// The comment of `livepatch!` in what `cargo klp new` writes.
const ADVICE: &str = "    // A cumulative patch takes the place of all that are enabled: `replace: true`.\n";

/// `livepatch!` in the source of a patch.
pub(super) struct Declaration<'a> {
    source: &'a str,
    entries: Vec<Entry>,
    /// The end of the last entry, with its comma.
    end: usize,
    has_comma: bool,
    /// Whether a state may keep the patch enabled.
    is_kept: bool,
}

struct Entry {
    key: String,
    start: usize,
    value: Expr,
}

struct Pair {
    key: Ident,
    value: Expr,
}

impl Parse for Pair {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = input.parse()?;
        input.parse::<Token![:]>()?;
        Ok(Self { key, value: input.parse()? })
    }
}

impl<'a> Declaration<'a> {
    /// Finds it in the root of the crate.
    pub(super) fn parse(source: &'a str) -> Result<Self, String> {
        let file = syn::parse_file(source).map_err(|error| {
            format!("its source does not parse: {error}, in line {}", error.span().start().line)
        })?;
        let found = file.items.iter().find_map(|item| match item {
            Item::Macro(item) if item.mac.path.segments.last()?.ident == "livepatch" => Some(&item.mac),
            _ => None,
        });
        let found = found.ok_or("the root of the crate has no `livepatch!`")?;
        let pairs = found
            .parse_body_with(Punctuated::<Pair, Token![,]>::parse_terminated)
            .map_err(|error| format!("its `livepatch!`: {error}, in line {}", error.span().start().line))?;
        let has_comma = pairs.trailing_punct();
        let end = match pairs.pairs().next_back() {
            None => return Err("its `livepatch!` is empty".into()),
            Some(pair) => match pair.punct() {
                Some(comma) => comma.span().byte_range().end,
                None => range(&pair.value().value).end,
            },
        };
        let entries = pairs.into_iter().map(|Pair { key, value }| Entry {
            start: key.span().byte_range().start,
            key: key.to_string(),
            value,
        });
        let is_kept = source.contains("block_disable");
        Ok(Self { source, entries: entries.collect(), end, has_comma, is_kept })
    }

    fn value(&self, key: &str) -> Option<&Expr> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    fn is(&self, key: &str, wanted: bool) -> bool {
        matches!(self.value(key), Some(Expr::Lit(ExprLit { lit: Lit::Bool(found), .. })) if found.value == wanted)
    }

    fn text(&self, value: &Expr) -> &str {
        &self.source[range(value)]
    }

    /// Whether the module is a livepatch for the kernel.
    pub(super) fn is_enabled(&self) -> bool {
        !self.is("enable", false)
    }

    /// The revision after that of the patch, as an expression, if the patch is one of a series.
    pub(super) fn next_revision(&self) -> Option<String> {
        let value = self.value("revision")?;
        Some(match value {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => match number.base10_parse::<u64>() {
                Ok(number) => (number + 1).to_string(),
                Err(_) => format!("{} + 1", self.text(value)),
            },
            _ => format!("{} + 1", self.text(value)),
        })
    }

    /// The source with a patch that replaces others, and is the next of its series.
    pub(super) fn cumulative(&self) -> String {
        let mut source = self.source.to_owned();
        if self.value("replace").is_none() {
            let indent = self.entries.last().map(|last| {
                let line = self.source[..last.start].rfind('\n').map_or(0, |newline| newline + 1);
                &self.source[line..last.start]
            });
            let added = match indent.filter(|indent| indent.trim().is_empty()) {
                Some(indent) => format!("\n{indent}replace: true,"),
                None => " replace: true".into(),
            };
            let comma = if self.has_comma { "" } else { "," };
            source.insert_str(self.end, &format!("{comma}{added}"));
        }
        // From the end, so that the places before stay where they are.
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        if let Some(replace) = self.value("replace") {
            changes.push((range(replace), "true".into()));
        }
        if let (Some(revision), Some(next)) = (self.value("revision"), self.next_revision()) {
            changes.push((range(revision), next));
        }
        changes.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        for (range, text) in changes {
            source.replace_range(range, &text);
        }
        source.replacen(ADVICE, "", 1)
    }

    /// The test that loads the old version, the new one over it, and goes back.
    pub(super) fn test(&self, old: &str, new: &str, stubs: &str) -> String {
        let is_refused = self.is("replace", true) && self.value("series").is_some();
        let downgrade = if is_refused { include_str!("../template/downgrade.rs.in") } else { "" };
        let end = if self.is_kept { "" } else { include_str!("../template/disabled.rs.in") };
        include_str!("../template/replacement.rs.in")
            .replace("{{stubs}}", stubs)
            .replace("{{disabled}}", end)
            .replace("{{downgrade}}", downgrade)
            .replace("{{import}}", if is_refused { "use klp_runtime::error::EINVAL;\n" } else { "" })
            .replace("{{old}}", old)
            .replace("{{new}}", new)
    }
}

fn range(value: &Expr) -> Range<usize> {
    value.span().byte_range()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cumulative(source: &str) -> String {
        Declaration::parse(source).unwrap().cumulative()
    }

    #[test]
    fn it_replaces_and_is_the_next_of_its_series() {
        for (before, after) in [
            ("livepatch! { license: \"GPL\" }", "livepatch! { license: \"GPL\", replace: true }"),
            (
                "livepatch! {\n    license: \"GPL\",\n}",
                "livepatch! {\n    license: \"GPL\",\n    replace: true,\n}",
            ),
            (
                "// ä\nlivepatch! { replace: false, series: \"s\", revision: 9 }",
                "// ä\nlivepatch! { replace: true, series: \"s\", revision: 10 }",
            ),
            ("livepatch! { replace: X, revision: R, }", "livepatch! { replace: true, revision: R + 1, }"),
        ] {
            assert_eq!(cumulative(before), after);
        }
    }

    #[test]
    fn what_is_no_patch_is_named() {
        for (source, why) in [
            ("fn f() {}", "no `livepatch!`"),
            ("livepatch! {}", "is empty"),
            ("fn", "does not parse"),
            ("livepatch! { license = 1 }", "expected `:`, in line 1"),
        ] {
            let said = Declaration::parse(source).err().unwrap();
            assert!(said.contains(why), "{said}");
        }
    }
}
