//! The citations of rules and scenarios in the documentation of the crates.

use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Lit, Meta};

use crate::page::Id;
use crate::root;
use crate::sources::{files, parse};

/// What is wrong with the citations in a crate's documentation, whose links are made of `link`.
pub fn wrong(sources: &str, anchors: &[Id], link: impl Fn(Id) -> String) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files(&root().join(sources), &["rs", "md"]) {
        let docs = docs_of(&file);
        let name = file.strip_prefix(root()).unwrap_or(&file);
        wrong.extend(docs.iter().flat_map(|(line, text)| wrong_in(name, *line, text, anchors, &link)));
    }
    wrong
}

/// The documentation in a file, line by line: of a page, which a macro's documentation is made of, all of it.
fn docs_of(file: &Path) -> Vec<(usize, String)> {
    if file.extension().is_some_and(|extension| extension == "md") {
        let text = fs::read_to_string(file).expect("it can be read");
        return text.lines().enumerate().map(|(index, line)| (index + 1, line.to_owned())).collect();
    }
    let mut docs = Docs::default();
    docs.visit_file(&parse(file));
    docs.0
}

fn wrong_in(
    file: &Path,
    line: usize,
    text: &str,
    anchors: &[Id],
    link: &impl Fn(Id) -> String,
) -> Vec<String> {
    let at = |what: String| format!("{}:{line}: {what}", file.display());
    citations(text)
        .into_iter()
        .filter_map(|(start, id)| {
            let (before, after) = (&text[..start], &text[start + id.to_string().len()..]);
            // The target of a link is not a citation of its own.
            if !anchors.contains(&id) {
                Some(at(format!("the lifecycle page has no {id}")))
            } else if before.ends_with('[') && after.starts_with(&format!("]({})", link(id))) {
                None
            } else {
                Some(at(format!("write [{id}]({}) for {id}", link(id))))
            }
        })
        .collect()
}

/// The words of a text that are rules or scenarios, and where they start.
fn citations(text: &str) -> Vec<(usize, Id)> {
    let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    let mut start = 0;
    for word in text.split(|letter| !is_of_word(letter)) {
        found.extend(Id::parse(word).map(|id| (start, id)));
        start += word.len() + text[start + word.len()..].chars().next().map_or(0, char::len_utf8);
    }
    found
}

/// The documentation comments of a file, line by line.
#[derive(Default)]
struct Docs(Vec<(usize, String)>);

impl Visit<'_> for Docs {
    fn visit_attribute(&mut self, attribute: &Attribute) {
        if let Meta::NameValue(doc) = &attribute.meta
            && doc.path.is_ident("doc")
            && let Expr::Lit(text) = &doc.value
            && let Lit::Str(text) = &text.lit
        {
            self.0.push((text.span().start().line, text.value()));
        }
        visit::visit_attribute(self, attribute);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_cite() {
        let of = |text| citations(text).iter().map(|(at, id)| format!("{at} {id}")).collect::<Vec<_>>();
        assert_eq!(of("S1 to S4 (L16), “S23”"), ["0 S1", "6 S4", "10 L16", "19 S23"]);
        assert!(of("s4, S, S04, XS4, S4_a, SHA1").is_empty());
    }
}
