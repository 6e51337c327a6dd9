//! What a patch's callbacks call of the kernel: a test that loads the patch in the model must have it.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ForeignItem, ImplItem, Item};

/// What a test program has from the C library, and must not define again.
const OF_C: &[&str] = &[
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "memchr",
    "strlen",
    "strnlen",
    "strcmp",
    "strncmp",
    "strcpy",
    "strncpy",
    "strcat",
    "strchr",
    "strrchr",
    "strstr",
    "snprintf",
    "sprintf",
    "vsnprintf",
    "abort",
    "exit",
    "kill",
    "open",
    "close",
    "read",
    "write",
    "time",
    "malloc",
    "free",
];

/// A name of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Function,
    Variable,
}

/// The definitions for the test, from the texts of the patch's Rust files; empty if it needs none.
pub(super) fn stubs(texts: &[String]) -> String {
    let mut names = Names::default();
    for file in texts.iter().filter_map(|text| syn::parse_file(text).ok()) {
        names.add(&file.items);
    }
    let mut text = String::new();
    for (name, kind) in names.reached() {
        text.push_str(&match kind {
            Kind::Function => format!(
                "/// The kernel's, which callbacks call: write what the test needs of it.\n#[unsafe(no_mangle)]\n\
                 extern \"C\" fn {name}() -> usize {{\n    0\n}}\n\n"
            ),
            Kind::Variable => format!(
                "/// The kernel's, which callbacks use: zeros, until the test needs another value.\n\
                 #[unsafe(no_mangle)]\nstatic {name}: [std::sync::atomic::AtomicU64; 512] =\n    \
                 [const {{ std::sync::atomic::AtomicU64::new(0) }}; 512];\n\n"
            ),
        });
    }
    text
}

/// The names of a crate: who uses which. Two of one name count as one, so that more may be found than is called.
#[derive(Default)]
struct Names {
    /// What each item uses.
    uses: BTreeMap<String, BTreeSet<String>>,
    /// What the kernel calls without being called.
    roots: BTreeSet<String>,
    /// The kernel's, by their names in the crate.
    kernel: BTreeMap<String, (String, Kind)>,
}

impl Names {
    fn add(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Mod(module) => {
                    let is_test = module.attrs.iter().any(|attribute| words(attribute).contains("test"));
                    if let (false, Some((_, items))) = (is_test, &module.content) {
                        self.add(items);
                    }
                }
                Item::Fn(function) => {
                    let used = words_of(|words| words.visit_block(&function.block));
                    let is_hook = function.attrs.iter().any(|attribute| {
                        ["klp_init", "klp_exit"].iter().any(|name| attribute.path().is_ident(name))
                    });
                    if is_hook {
                        self.roots.extend(used.clone());
                    }
                    for attribute in &function.attrs {
                        self.original(attribute);
                    }
                    self.uses.entry(function.sig.ident.to_string()).or_default().extend(used);
                }
                Item::Impl(item) if item.trait_.is_some() => {
                    self.roots.extend(words_of(|words| words.visit_item_impl(item)));
                }
                Item::Impl(item) => {
                    for item in &item.items {
                        if let ImplItem::Fn(function) = item {
                            let used = words_of(|words| words.visit_impl_item_fn(function));
                            self.uses.entry(function.sig.ident.to_string()).or_default().extend(used);
                        }
                    }
                }
                Item::ForeignMod(foreign) => foreign.items.iter().for_each(|item| self.foreign(item)),
                Item::Static(item) => {
                    let used = words_of(|words| words.visit_expr(&item.expr));
                    self.uses.entry(item.ident.to_string()).or_default().extend(used);
                }
                Item::Macro(item) => self.declared(item.mac.tokens.clone()),
                // A replacement whose body is C.
                Item::Verbatim(tokens) => self.declared(tokens.clone()),
                _ => {}
            }
        }
    }

    fn foreign(&mut self, item: &ForeignItem) {
        let (name, kind, attributes) = match item {
            ForeignItem::Fn(item) => (&item.sig.ident, Kind::Function, &item.attrs),
            ForeignItem::Static(item) => (&item.ident, Kind::Variable, &item.attrs),
            _ => return,
        };
        let symbol = attributes.iter().find_map(symbol).unwrap_or_else(|| name.to_string());
        self.kernel.insert(name.to_string(), (symbol, kind));
    }

    /// The function behind `original = …`.
    fn original(&mut self, attribute: &Attribute) {
        let Ok(tokens) = attribute.meta.require_list().map(|list| list.tokens.clone()) else { return };
        let tokens: Vec<_> = tokens.into_iter().map(|token| token.to_string()).collect();
        let original = tokens.windows(3).find(|part| part[0] == "original" && part[1] == "=");
        if let (Some(original), Some(symbol)) = (original, symbol(attribute)) {
            self.kernel.insert(original[2].clone(), (symbol, Kind::Function));
        }
    }

    /// `fn NAME` and `static NAME` among the tokens of a macro.
    fn declared(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        for pair in tokens.windows(2) {
            let [TokenTree::Ident(kind), TokenTree::Ident(name)] = pair else { continue };
            let kind = match kind.to_string().as_str() {
                "fn" => Kind::Function,
                "static" => Kind::Variable,
                _ => continue,
            };
            self.kernel.insert(name.to_string(), (name.to_string(), kind));
        }
    }

    /// The kernel's names that callbacks reach.
    fn reached(&self) -> BTreeMap<String, Kind> {
        let mut waiting: Vec<&String> = self.roots.iter().collect();
        let mut seen = BTreeSet::new();
        let mut reached = BTreeMap::new();
        while let Some(name) = waiting.pop() {
            if !seen.insert(name) {
                continue;
            }
            waiting.extend(self.uses.get(name).into_iter().flatten());
            if let Some((symbol, kind)) = self.kernel.get(name)
                && !OF_C.contains(&&**symbol)
            {
                reached.insert(symbol.clone(), *kind);
            }
        }
        reached
    }
}

/// The string behind `symbol =` or `link_name =` of an attribute.
fn symbol(attribute: &Attribute) -> Option<String> {
    if let Ok(pair) = attribute.meta.require_name_value()
        && pair.path.is_ident("link_name")
        && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value
    {
        return Some(text.value());
    }
    let tokens = attribute.meta.require_list().ok()?.tokens.clone();
    let tokens: Vec<_> = tokens.into_iter().map(|token| token.to_string()).collect();
    let found = tokens.windows(3).find(|part| part[0] == "symbol" && part[1] == "=")?;
    Some(found[2].trim_matches('"').to_owned())
}

fn words(attribute: &Attribute) -> BTreeSet<String> {
    words_of(|words| words.visit_attribute(attribute))
}

/// The identifiers of a part of the source, those inside macros too.
fn words_of(visit: impl FnOnce(&mut Words)) -> BTreeSet<String> {
    let mut words = Words::default();
    visit(&mut words);
    words.0
}

#[derive(Default)]
struct Words(BTreeSet<String>);

impl Words {
    fn add(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    self.0.insert(ident.to_string());
                }
                TokenTree::Group(group) => self.add(group.stream()),
                _ => {}
            }
        }
    }
}

impl<'a> Visit<'a> for Words {
    fn visit_ident(&mut self, ident: &'a proc_macro2::Ident) {
        self.0.insert(ident.to_string());
    }

    fn visit_macro(&mut self, found: &'a syn::Macro) {
        self.add(found.tokens.clone());
        visit::visit_macro(self, found);
    }

    fn visit_meta_list(&mut self, list: &'a syn::MetaList) {
        self.add(list.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_callbacks_reach_is_defined() {
        let text = r#"
            unsafe extern "C" {
                static mut console_printk: [c_int; 4];
                fn msleep(msecs: c_uint);
                fn seq_printf(m: *mut seq_file);
                fn memset(p: *mut u8);
            }
            kernel_types! { fn kick; struct task_struct; }
            impl State for A {
                fn post_patch(_cx: &StateContext<'_>, _: &()) { wait(); pr_info!("{}", level()); memset(); kick(); }
            }
            fn wait() { unsafe { msleep(1) } }
            fn level() -> c_int { unsafe { console_printk[0] } }
            #[klp_func(symbol = "f")]
            unsafe extern "C" fn livepatch_f() { seq_printf(m) }
        "#;
        let stubs = stubs(&[text.into()]);
        for name in ["fn kick()", "fn msleep()", "static console_printk:"] {
            assert!(stubs.contains(name), "{stubs}");
        }
        assert!(!stubs.contains("seq_printf") && !stubs.contains("memset"), "{stubs}");
    }

    #[test]
    fn an_original_has_its_symbol() {
        let text =
            "#[klp_func(symbol = \"f\", original = original_f)] unsafe extern \"C\" fn livepatch_f() {}
                    #[klp_init] fn init() { original_f(); }";
        assert!(stubs(&[text.into()]).contains("fn f()"));
    }
}
