//! Finds the conditions on the kernel in a crate's source.
//!
//! It looks at tokens, so that it also finds them in what macros are given. What a macro makes is not seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use klp_format::condition::{Condition, HAS, SINCE};
use proc_macro2::{Delimiter, Group, Ident, LineColumn, Literal, TokenStream, TokenTree};

/// What was found where a condition stands.
pub(super) struct Found {
    /// The file.
    pub(super) file: PathBuf,
    /// Where it starts in it.
    pub(super) start: LineColumn,
    /// The condition, or what is expected in its place.
    pub(super) condition: Result<Condition, String>,
}

/// What a crate has.
pub(super) struct Scanned {
    /// Its conditions, or what stands in their place.
    pub(super) found: Vec<Found>,
    /// The files that were read.
    pub(super) files: BTreeSet<PathBuf>,
}

/// The conditions in the files of a crate, from its root on. Files that can't be read are rustc's business.
pub(super) fn scan(root: &Path) -> Scanned {
    let mut scan = Scan { found: Vec::new(), seen: BTreeSet::new(), file: root.into() };
    scan.file(root, root.parent().unwrap_or(root));
    Scanned { found: scan.found, files: scan.seen }
}

struct Scan {
    found: Vec<Found>,
    seen: BTreeSet<PathBuf>,
    /// The file that is read.
    file: PathBuf,
}

impl Scan {
    /// Reads a file, whose modules are in a directory.
    fn file(&mut self, file: &Path, modules: &Path) {
        let Ok(text) = fs::read_to_string(file) else { return };
        if !self.seen.insert(file.into()) {
            return;
        }
        if let Ok(tokens) = text.parse() {
            let outer = std::mem::replace(&mut self.file, file.into());
            self.tokens(tokens, modules);
            self.file = outer;
        }
    }

    fn tokens(&mut self, tokens: TokenStream, modules: &Path) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        // What `#[path = "…"]` says of the next module.
        let mut path = None;
        for (at, token) in tokens.iter().enumerate() {
            let rest = &tokens[at + 1..];
            match token {
                TokenTree::Ident(word) => match (&*word.to_string(), rest) {
                    (
                        "cfg",
                        [TokenTree::Group(group), ..] | [TokenTree::Punct(_), TokenTree::Group(group), ..],
                    ) => {
                        self.predicate(&group.stream().into_iter().collect::<Vec<_>>());
                    }
                    ("cfg_attr", [TokenTree::Group(group), ..]) => {
                        self.before(group, |token| is_punct(token, ','))
                    }
                    ("cfg_select", [TokenTree::Punct(_), TokenTree::Group(group), ..]) => self.arms(group),
                    ("mod", [TokenTree::Ident(name), TokenTree::Punct(end), ..]) if end.as_char() == ';' => {
                        self.module(name, path.take(), modules);
                    }
                    ("mod", [TokenTree::Ident(name), TokenTree::Group(body), ..]) => {
                        self.tokens(body.stream(), &modules.join(name.to_string()));
                    }
                    ("include", [TokenTree::Punct(_), TokenTree::Group(group), ..]) => {
                        self.include(group, modules)
                    }
                    _ => {}
                },
                // The body of a module was read with its name.
                TokenTree::Group(_) if is_module_body(&tokens[..at]) => {}
                TokenTree::Group(group) => {
                    path = named_path(group).or(path);
                    self.tokens(group.stream(), modules);
                }
                _ => {}
            }
        }
    }

    /// Reads the file of a module.
    fn module(&mut self, name: &Ident, path: Option<String>, modules: &Path) {
        if let Some(path) = path {
            let file = self.file.with_file_name(path);
            let directory = file.parent().unwrap_or(modules).to_owned();
            return self.file(&file, &directory);
        }
        let directory = modules.join(name.to_string().trim_start_matches("r#"));
        self.file(&directory.with_extension("rs"), &directory);
        self.file(&directory.join("mod.rs"), &directory);
    }

    /// Reads the file that `include!` names.
    fn include(&mut self, arguments: &Group, modules: &Path) {
        if let [TokenTree::Literal(literal)] = &*arguments.stream().into_iter().collect::<Vec<_>>()
            && let Some(path) = text(literal)
        {
            self.file(&self.file.with_file_name(path), modules);
        }
    }

    /// Reads the predicate that ends before some token.
    fn before(&mut self, group: &Group, is_end: impl Fn(&TokenTree) -> bool) {
        let tokens: Vec<TokenTree> = group.stream().into_iter().take_while(|token| !is_end(token)).collect();
        self.predicate(&tokens);
    }

    /// Reads the predicates of `cfg_select!`, each before its arrow.
    fn arms(&mut self, group: &Group) {
        let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
        let mut start = 0;
        for at in 1..tokens.len() {
            if is_punct(&tokens[at - 1], '=') && is_punct(&tokens[at], '>') {
                self.predicate(&tokens[start..at - 1]);
            } else if is_punct(&tokens[at], ',') || is_body(&tokens[at]) {
                start = at + 1;
            }
        }
    }

    /// Reads `all(…)`, `not(…)`, `NAME` and `NAME = "…"`, with commas between them.
    fn predicate(&mut self, tokens: &[TokenTree]) {
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.predicate(&group.stream().into_iter().collect::<Vec<_>>()),
                TokenTree::Ident(name) => {
                    let condition = match &tokens[at + 1..] {
                        [TokenTree::Punct(sign), value, ..] if sign.as_char() == '=' => valued(name, value),
                        _ => Condition::parse(&name.to_string(), None),
                    };
                    let (file, start) = (self.file.clone(), name.span().start());
                    self.found.extend(condition.map(|condition| Found { file, start, condition }));
                }
                _ => {}
            }
        }
    }
}

/// A condition with a value.
fn valued(name: &Ident, value: &TokenTree) -> Option<Result<Condition, String>> {
    let name = name.to_string();
    match value {
        TokenTree::Literal(literal) => Condition::parse(&name, text(literal).as_deref()),
        _ if [SINCE, HAS].contains(&&*name) => Some(Err(format!(
            "expected a string, found `{value}`: klp reads conditions before any macro is expanded, so write the value here"
        ))),
        _ => None,
    }
}

/// The text of a literal that is a string.
fn text(literal: &Literal) -> Option<String> {
    syn::parse_str::<syn::LitStr>(&literal.to_string()).ok().map(|text| text.value())
}

/// The path that an attribute has for the next module.
fn named_path(attribute: &Group) -> Option<String> {
    match &*attribute.stream().into_iter().collect::<Vec<_>>() {
        [TokenTree::Ident(key), TokenTree::Punct(_), TokenTree::Literal(path)] if key == "path" => text(path),
        _ => None,
    }
}

/// Whether `mod NAME` stands before a group.
fn is_module_body(before: &[TokenTree]) -> bool {
    matches!(before, [.., TokenTree::Ident(word), TokenTree::Ident(_)] if word == "mod")
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn is_body(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(files: &[(&str, &str)]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = directory.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let Scanned { found, .. } = scan(&directory.path().join("lib.rs"));
        let place = |found: &Found| {
            let file = found.file.strip_prefix(directory.path()).unwrap().display();
            let condition = found.condition.as_ref().map_or_else(Clone::clone, ToString::to_string);
            format!("{file}:{}: {condition}", found.start.line)
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn wherever_rust_has_a_cfg() {
        let text = "#![cfg_attr(CONFIG_A, allow(CONFIG_NO))]\n\
                    #[cfg(all(not(CONFIG_B = \"m\"), feature = \"x\"))] fn f() { if cfg!(CONFIG_C) {} }\n\
                    kernel_types! { struct s { #[cfg(kernel_has = r\"struct s.a\")] a } }\n\
                    const X: u8 = cfg_select! { CONFIG_D => { CONFIG_NO } any(CONFIG_E, test) => 1, _ => 2 };\n";
        let found = conditions(&[("lib.rs", text)]);
        assert_eq!(
            found,
            [
                "lib.rs:1: CONFIG_A",
                "lib.rs:2: CONFIG_B = \"m\"",
                "lib.rs:2: CONFIG_C",
                "lib.rs:3: kernel_has = \"struct s.a\"",
                "lib.rs:4: CONFIG_D",
                "lib.rs:4: CONFIG_E",
            ]
        );
    }

    #[test]
    fn in_all_files_of_the_crate() {
        let cfg = |name: &str| format!("#[cfg(CONFIG_{name})] fn f() {{}}");
        let root =
            "mod a; mod inner { mod b; } #[path = \"other/c.rs\"] mod c; include!(\"d.rs\"); mod gone;";
        let found = conditions(&[
            ("lib.rs", root),
            ("a/mod.rs", "mod e;"),
            ("a/e.rs", &cfg("E")),
            ("inner/b.rs", &cfg("B")),
            ("other/c.rs", "mod f;"),
            ("other/f.rs", &cfg("F")),
            ("d.rs", &cfg("D")),
            ("unused.rs", &cfg("NO")),
        ]);
        assert_eq!(
            found,
            ["a/e.rs:1: CONFIG_E", "inner/b.rs:1: CONFIG_B", "other/f.rs:1: CONFIG_F", "d.rs:1: CONFIG_D"]
        );
    }

    #[test]
    fn a_value_must_be_written_out() {
        let found = conditions(&[(
            "lib.rs",
            "macro_rules! m { ($r:literal) => { #[cfg(kernel_since = $r)] fn f() {} } }",
        )]);
        assert!(matches!(&*found, [one] if one.contains("expected a string")), "{found:?}");
    }
}
