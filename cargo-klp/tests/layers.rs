//! The layers of the command's sources: who may use whom, and who may print.
//!
//! A layer is a directory of `src`. It uses layers below it and no others, only the command line prints or knows the
//! argument parser, and within a layer no two modules need each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemUse, Macro, UseTree};

/// The layers, from the top; each with those that it may use.
const LAYERS: [(&str, &[&str]); 8] = [
    ("commands", &["fix", "kbuild", "vm", "patch", "kernel", "host", "error"]),
    ("fix", &["patch", "kernel", "host", "error"]),
    ("kbuild", &["vm", "patch", "kernel", "host", "error"]),
    ("vm", &["kernel", "host", "error"]),
    ("patch", &["kernel", "host", "error"]),
    ("kernel", &["host", "error"]),
    ("host", &["error"]),
    ("error", &[]),
];

/// The layer that prints and reads the command line.
const TOP: &str = "commands";

/// What only that layer may name.
const OF_TOP: [&str; 7] = ["clap", "anstream", "print", "println", "eprint", "eprintln", "dbg"];

/// A path of the crate, by its segments after `crate`, and where it is written.
#[derive(Clone, Debug)]
struct Use {
    path: Vec<String>,
    line: usize,
}

/// A source file and what it names.
#[derive(Debug)]
struct Source {
    /// Relative to `src`.
    file: PathBuf,
    /// Its module, by its segments after `crate`.
    module: Vec<String>,
    uses: Vec<Use>,
    /// What only the top layer may name.
    of_top: Vec<(String, usize)>,
}

/// A line that breaks a rule, and what is allowed there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Breach {
    file: PathBuf,
    line: usize,
    message: String,
}

impl Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// Collects what a file names.
struct Names<'a> {
    source: &'a mut Source,
}

impl Names<'_> {
    /// A path as it is written.
    fn add(&mut self, segments: &[String], span: Span) {
        let line = span.start().line;
        let supers = segments.iter().take_while(|segment| *segment == "super").count();
        let path = match segments.first().map(String::as_str) {
            Some("crate") => segments[1..].to_vec(),
            Some("super") => {
                let parent = self.source.module.len().saturating_sub(supers);
                [&self.source.module[..parent], &segments[supers..]].concat()
            }
            Some(first) if OF_TOP.contains(&first) => {
                self.source.of_top.push((first.to_owned(), line));
                return;
            }
            _ => return,
        };
        self.source.uses.push(Use { path, line });
    }

    /// The paths in tokens that are not parsed: those of macros and attributes.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut start = Span::call_site();
        let mut is_continued = false;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if !is_continued {
                        self.add(&path, start);
                        (path, start) = (Vec::new(), ident.span());
                    }
                    path.push(ident.to_string());
                    is_continued = false;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => is_continued = true,
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => is_continued = false,
            }
        }
        self.add(&path, start);
    }

    fn add_tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident)),
            UseTree::Name(name) => self.add(&with(&name.ident), name.span()),
            UseTree::Rename(name) => self.add(&with(&name.ident), name.span()),
            UseTree::Glob(glob) => self.add(before, glob.span()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // One segment is a name of the file's own.
        if segments.len() > 1 {
            self.add(&segments, path.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let segments: Vec<_> = call.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments, call.path.span());
        self.add_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.add_tokens(list.tokens.clone());
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // `super` means another module in there.
        self.source.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.source.module.pop();
    }
}

/// A file by its path in `src`.
fn read(file: &Path, text: &str) -> Source {
    let mut module: Vec<_> =
        file.with_extension("").iter().map(|part| part.to_str().expect("a name").to_owned()).collect();
    module.pop_if(|last| last == "mod");
    let mut source = Source { file: file.into(), module, uses: Vec::new(), of_top: Vec::new() };
    let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Names { source: &mut source }.visit_file(&parsed);
    source
}

fn breach(source: &Source, line: usize, message: String) -> Breach {
    Breach { file: source.file.clone(), line, message }
}

/// The lines that use a layer which is not below their own, or name what only the top may name.
fn breaches(source: &Source) -> Vec<Breach> {
    let own = source.module.first().map_or("", String::as_str);
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == own) else {
        return vec![breach(source, 1, format!("`{own}` is no layer: add it to LAYERS"))];
    };
    let is_layer = |name: &String| LAYERS.iter().any(|(layer, _)| layer == name);
    let upward = source.uses.iter().filter_map(|used| {
        let layer = used.path.first().filter(|name| is_layer(name))?;
        let is_allowed = layer == own || allowed.contains(&layer.as_str());
        (!is_allowed).then(|| {
            let allowed = if allowed.is_empty() { "no other layer".into() } else { allowed.join(", ") };
            let path = used.path.join("::");
            breach(
                source,
                used.line,
                format!(
                    "`{own}` must not use `crate::{path}`: `{layer}` is not below it; `{own}` may use {allowed}"
                ),
            )
        })
    });
    let of_top = source.of_top.iter().filter(|_| own != TOP).map(|(name, line)| {
        breach(
            source,
            *line,
            format!(
                "`{own}` must not name `{name}`: only `{TOP}` prints and reads the command line; return it, or tell a \
                 `Reporter`"
            ),
        )
    });
    upward.chain(of_top).collect()
}

/// The modules that a layer's `mod.rs` declares, and what it takes from them for others, by the name there.
struct Layer {
    modules: BTreeSet<String>,
    reexports: BTreeMap<String, String>,
}

impl Layer {
    fn new(file: &File) -> Self {
        let (mut modules, mut reexports) = (BTreeSet::new(), BTreeMap::new());
        for item in &file.items {
            match item {
                Item::Mod(item) if item.content.is_none() => {
                    modules.insert(item.ident.to_string());
                }
                Item::Use(item) => {
                    if let UseTree::Path(path) = &item.tree {
                        names(&path.tree).for_each(|name| {
                            reexports.insert(name, path.ident.to_string());
                        });
                    }
                }
                _ => {}
            }
        }
        reexports.retain(|_, module| modules.contains(module));
        Self { modules, reexports }
    }

    /// The module of the layer that a path leads to; `None` for what `mod.rs` has itself.
    fn module(&self, path: &[String]) -> Option<&str> {
        let name = path.get(1)?;
        self.modules.get(name).or_else(|| self.reexports.get(name)).map(String::as_str)
    }
}

/// The last names of a tree.
fn names(tree: &UseTree) -> Box<dyn Iterator<Item = String> + '_> {
    match tree {
        UseTree::Path(path) => names(&path.tree),
        UseTree::Name(name) => Box::new(std::iter::once(name.ident.to_string())),
        UseTree::Rename(name) => Box::new(std::iter::once(name.rename.to_string())),
        UseTree::Group(group) => Box::new(group.items.iter().flat_map(names)),
        UseTree::Glob(_) => Box::new(std::iter::empty()),
    }
}

/// The uses of one module of a layer by another: `(user, used)`, each with a line that shows it.
fn edges(sources: &[Source], layer: &str, of: &Layer) -> BTreeMap<(String, String), Breach> {
    let mut edges = BTreeMap::new();
    for source in sources.iter().filter(|source| source.module.first().is_some_and(|own| own == layer)) {
        let Some(user) = source.module.get(1) else { continue };
        for used in source.uses.iter().filter(|used| used.path.first().is_some_and(|first| first == layer)) {
            let Some(module) = of.module(&used.path).filter(|module| module != user) else { continue };
            let message = format!("`{layer}::{user}` uses `{layer}::{module}`");
            edges.entry((user.clone(), module.into())).or_insert(breach(source, used.line, message));
        }
    }
    edges
}

/// The uses that are part of a circle.
fn circle(edges: &BTreeMap<(String, String), Breach>) -> Vec<&Breach> {
    let reaches = |from: &str, to: &str| {
        let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
        while let Some(module) = next.pop() {
            for (_, used) in edges.keys().filter(|(user, _)| user == module) {
                if seen.insert(used) {
                    next.push(used);
                }
            }
        }
        seen.contains(to)
    };
    edges.iter().filter(|((user, used), _)| reaches(used, user)).map(|(_, breach)| breach).collect()
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All sources but the roots of the library and the program.
fn sources() -> Vec<Source> {
    let (mut sources, mut next) = (Vec::new(), vec![src()]);
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let file = path.strip_prefix(src()).unwrap().to_owned();
            if path.is_dir() {
                next.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !["lib.rs", "main.rs"].iter().any(|root| file == Path::new(root))
            {
                sources.push(read(&file, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(sources.len() > 60, "{}", sources.len());
    sources
}

fn lines<'a>(breaches: impl IntoIterator<Item = &'a Breach>) -> String {
    breaches.into_iter().map(|breach| format!("{breach}\n")).collect()
}

#[test]
fn layers_use_only_those_below_them() {
    let found: Vec<_> = sources().iter().flat_map(breaches).collect();
    assert!(found.is_empty(), "\n{}", lines(&found));
}

#[test]
fn no_two_modules_of_a_layer_need_each_other() {
    let sources = sources();
    for (layer, _) in LAYERS.iter().filter(|(layer, _)| src().join(layer).is_dir()) {
        let root = fs::read_to_string(src().join(layer).join("mod.rs")).unwrap();
        let edges = edges(&sources, layer, &Layer::new(&syn::parse_file(&root).unwrap()));
        let circle = circle(&edges);
        assert!(circle.is_empty(), "these modules of `{layer}` need each other:\n{}", lines(circle));
    }
}

/// What the checks say of lines that break the rules.
#[test]
fn a_line_that_breaks_a_rule_is_named() {
    let said = |file: &str, text: &str| lines(&breaches(&read(Path::new(file), text)));
    assert_eq!(
        said(
            "kernel/btf.rs",
            "use crate::error::Result;\n\nuse crate::{host::cache, patch::check::obstacle};"
        ),
        "src/kernel/btf.rs:3: `kernel` must not use `crate::patch::check::obstacle`: `patch` is not below it; `kernel` \
         may use host, error\n"
    );
    assert_eq!(
        said("host/debian.rs", "fn f() {\n    assert!(g(crate::kernel::available()));\n}"),
        "src/host/debian.rs:2: `host` must not use `crate::kernel::available`: `kernel` is not below it; `host` may use \
         error\n"
    );
    let of_top =
        "#[derive(Debug, clap::Args)]\nstruct A;\nfn f() { println!(\"{}\", super::super::super::vm::g()) }";
    let rest = "only `commands` prints and reads the command line; return it, or tell a `Reporter`";
    assert_eq!(
        said("patch/check/func.rs", of_top),
        format!(
            "src/patch/check/func.rs:3: `patch` must not use `crate::vm::g`: `vm` is not below it; `patch` may use kernel, \
             host, error\n\
             src/patch/check/func.rs:1: `patch` must not name `clap`: {rest}\n\
             src/patch/check/func.rs:3: `patch` must not name `println`: {rest}\n"
        )
    );
    assert_eq!(said("commands/run.rs", "use clap::Args;\nuse crate::vm::Vm;"), "");
    assert_eq!(said("tools/x.rs", ""), "src/tools/x.rs:1: `tools` is no layer: add it to LAYERS\n");
}

#[test]
fn a_circle_within_a_layer_is_named() {
    let root =
        syn::parse_file("mod image; mod installed; pub mod symbols; pub use installed::Kernel;").unwrap();
    let sources = [
        read(Path::new("kernel/image.rs"), "use super::Kernel;"),
        read(Path::new("kernel/symbols/module.rs"), "use crate::kernel::image::unpack;\nuse super::Symbol;"),
        read(Path::new("kernel/installed.rs"), "fn f() {\n    crate::kernel::image::unpack()\n}"),
    ];
    let edges = edges(&sources, "kernel", &Layer::new(&root));
    assert_eq!(
        lines(circle(&edges)),
        "src/kernel/image.rs:1: `kernel::image` uses `kernel::installed`\n\
         src/kernel/installed.rs:2: `kernel::installed` uses `kernel::image`\n"
    );
}
