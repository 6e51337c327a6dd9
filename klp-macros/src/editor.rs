//! What an editor sees of a patch: it follows the author's own tokens into what a macro makes of them, to show types,
//! documentation and uses, and offers the names that come out of it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{Attribute, File, Item, parse_quote};

use crate::macros::{
    hook, kernel_types, klp_c, klp_data, klp_func, klp_object, klp_param, klp_state, klp_symbols,
    klp_syscall, livepatch, shadow,
};

/// A macro, with its arguments and its item as an author writes them.
struct Use {
    name: &'static str,
    args: &'static str,
    item: &'static str,
    expand: fn(TokenStream, TokenStream) -> TokenStream,
}

const USES: [Use; 14] = [
    Use {
        name: "klp_func",
        args: "symbol = \"f\", original = original_of_f",
        item: "unsafe extern \"C\" fn replaces(first: *mut inode, second: c_int) -> c_int { body(first, second) }",
        expand: klp_func::expand,
    },
    Use {
        name: "klp_func in C",
        args: "symbol = \"f\"",
        item: "unsafe extern \"C\" fn replaces(first: *mut inode) -> c_int;",
        expand: klp_func::expand,
    },
    Use {
        name: "klp_syscall",
        args: "name = \"getpid\"",
        item: "unsafe extern \"C\" fn gets_pid() -> c_long { body() }",
        expand: klp_syscall::expand,
    },
    Use {
        name: "klp_symbols",
        args: "object = \"nf_tables\"",
        item: "unsafe extern \"C\" { pub fn deletes(chain: *mut nft_chain); pub static limit: c_uint; }",
        expand: klp_symbols::expand,
    },
    Use {
        name: "klp_state",
        args: "id = ID_OF_STATE, version = VERSION_OF_STATE",
        item: "impl State for Counting { type Data = Totals;
            fn pre_patch(context: &StateContext<'_>) -> Result<Totals> { Ok(made(context)) }
            fn post_unpatch(context: &StateContext<'_>, totals: &Totals) { used(context, totals) } }",
        expand: klp_state::expand,
    },
    Use {
        name: "klp_state with migrate",
        args: "id = 1, version = 2, from(version = 1, data = OldTotals)",
        item: "impl State for Counting { type Data = Totals;
            fn pre_patch(_: &StateContext<'_>) -> Result<Totals> { Ok(made()) }
            fn migrate(_: &StateContext<'_>, old: &OldTotals) -> Result<Totals> { Ok(made_of(old)) } }",
        expand: klp_state::expand,
    },
    Use {
        name: "klp_object",
        args: "name = \"nf_tables\"",
        item: "impl Object for NfTables { fn pre_patch(object: &ObjectContext<'_>) -> Result { looks(object) } }",
        expand: klp_object::expand,
    },
    Use {
        name: "klp_param",
        args: "mode = 0o600",
        item: "static verbose: Param<bool> = Param::new(DEFAULT);",
        expand: klp_param::expand,
    },
    Use {
        name: "klp_init",
        args: "",
        item: "fn chooses(builder: &mut PatchBuilder) -> Result { body(builder) }",
        expand: |args, item| hook::expand(&hook::INIT, args, item),
    },
    Use {
        name: "shadow",
        args: "state = Counting, of = task_struct",
        item: "#[repr(C)] pub struct Looks { pub count: AtomicU64 }",
        expand: shadow::expand,
    },
    Use {
        name: "klp_c",
        args: "",
        item: "extern \"C\" fn counts(task: *mut task_struct) -> c_int { body(task) }",
        expand: klp_c::expand,
    },
    Use {
        name: "KlpData",
        args: "",
        item: "#[repr(C)] struct Totals { calls: AtomicU64, saved: Saved }",
        // A derive leaves the item where it is.
        expand: |_, item| {
            let derived = klp_data::expand(item.clone());
            [item, derived].into_iter().collect()
        },
    },
    Use {
        name: "livepatch",
        args: "",
        item: "license: \"GPL\", authors: [\"A. Author\"], description: \"d\", replace: REPLACES",
        expand: |_, input| livepatch::expand(input),
    },
    Use {
        name: "kernel_types",
        args: "",
        item: "struct outer { number, inner: __rcu, small } struct whole; enum kind; const KIND_B; fn acts;",
        expand: |_, input| of_kernel(input),
    },
];

/// The keys of arguments. The attribute reads them, and they are no names in the patch.
const KEYS: [&str; 16] = [
    "symbol",
    "original",
    "name",
    "object",
    "id",
    "version",
    "from",
    "data",
    "mode",
    "state",
    "of",
    "license",
    "authors",
    "description",
    "replace",
    "__rcu",
];

/// What stands for the kernel.
const KERNEL: &str = "
struct hidden { int x; };
struct part { int y; };
struct whole { struct part in; int : 3; };
enum kind { KIND_A, KIND_B };
struct outer { char first; int number; struct hidden *inner; unsigned small : 2; long last; };
int acts(struct outer *outer, enum kind kind, struct whole *whole) { return outer->number + kind + whole->in.y; }
";

/// What `kernel_types!` makes of its items.
fn of_kernel(items: TokenStream) -> TokenStream {
    let directory = tempfile::tempdir().unwrap();
    let [source, object, btf] = ["kernel.c", "kernel.o", "btf"].map(|name| directory.path().join(name));
    fs::write(&source, KERNEL).unwrap();
    for command in [
        Command::new("gcc").args(["-gbtf", "-c"]).arg(&source).arg("-o").arg(&object),
        Command::new("objcopy").arg(format!("--dump-section=.BTF={}", btf.display())).arg(&object),
    ] {
        assert!(command.status().unwrap().success(), "{command:?}");
    }
    kernel_types::expand_with(|| Ok(kernel_types::Source::of(btf)), items)
}

impl Use {
    fn parsed(&self) -> (TokenStream, TokenStream) {
        (self.args.parse().unwrap(), self.item.parse().unwrap())
    }
}

/// The names among tokens, also inside groups.
fn names(tokens: TokenStream) -> Vec<Ident> {
    let of_tree = |tree| match tree {
        TokenTree::Ident(name) => vec![name],
        TokenTree::Group(group) => names(group.stream()),
        _ => Vec::new(),
    };
    tokens.into_iter().flat_map(of_tree).collect()
}

/// A name that its author has written, with its place; `None` for one that a macro made.
fn written(name: &Ident) -> Option<String> {
    let span = name.span();
    // Each text that was parsed has places of its own, as the debug output shows them.
    (*name == span.source_text()?).then(|| format!("{name} at {span:?}"))
}

/// Hover, "go to definition" and "rename" work at a name whose token is in the expansion.
#[test]
fn every_name_that_an_author_writes_is_in_the_expansion_with_its_place() {
    for used in &USES {
        let (args, item) = used.parsed();
        let is_name = |name: &Ident| {
            let name = name.to_string();
            !KEYS.contains(&&*name) && syn::parse_str::<Ident>(&name).is_ok()
        };
        let both = [args.clone(), item.clone()].into_iter().flat_map(names);
        let wanted: BTreeSet<_> = both.filter(is_name).filter_map(|name| written(&name)).collect();
        assert!(!wanted.is_empty(), "{}", used.name);
        let found: BTreeSet<_> = names((used.expand)(args, item)).iter().filter_map(written).collect();
        let lost: Vec<_> = wanted.difference(&found).collect();
        assert!(lost.is_empty(), "{}: {lost:#?}", used.name);
    }
}

fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.contains(&parse_quote!(#[doc(hidden)]))
}

/// Completion offers what is in scope: beside the author's own names, nothing that a macro made for itself.
#[test]
fn no_name_that_a_macro_made_is_offered() {
    for used in &USES {
        let (args, item) = used.parsed();
        let expansion = (used.expand)(args, item);
        let file: File = syn::parse2(expansion.clone())
            .unwrap_or_else(|error| panic!("{}: {error}\n{expansion}", used.name));
        for name in offered(&file) {
            assert!(written(name).is_some(), "{}: `{name}` is offered", used.name);
        }
    }
}

/// The names of items that are not hidden.
fn offered(file: &File) -> impl Iterator<Item = &Ident> {
    let declared = file.items.iter().filter_map(|item| match item {
        Item::Fn(item) => Some((&item.sig.ident, &item.attrs)),
        Item::Static(item) => Some((&item.ident, &item.attrs)),
        Item::Struct(item) => Some((&item.ident, &item.attrs)),
        Item::Enum(item) => Some((&item.ident, &item.attrs)),
        Item::Type(item) => Some((&item.ident, &item.attrs)),
        Item::Mod(item) => Some((&item.ident, &item.attrs)),
        Item::Trait(item) => Some((&item.ident, &item.attrs)),
        Item::Const(item) if item.ident != "_" => Some((&item.ident, &item.attrs)),
        // Nothing outside sees what is in a `const _`; the others declare no name.
        _ => None,
    });
    declared.filter(|(_, attributes)| !is_hidden(attributes)).map(|(name, _)| name)
}

/// Of `kernel_types!`: the types that the author's own need, and of a structure the fields that the author named, all under
/// C's names.
#[test]
fn of_the_kernel_its_own_names_are_offered() {
    let used = USES.iter().find(|used| used.name == "kernel_types").unwrap();
    let file: File = syn::parse2(of_kernel(used.parsed().1)).unwrap();
    let names: BTreeSet<_> = offered(&file).map(ToString::to_string).collect();
    let expected = ["KIND_A", "KIND_B", "hidden", "kind", "outer", "part", "whole"];
    assert_eq!(names, expected.map(str::to_owned).into());
    for (name, expected) in [("outer", &["number", "inner"][..]), ("whole", &["r#in"]), ("hidden", &[])] {
        let is_it = |item: &&Item| matches!(item, Item::Struct(item) if item.ident == name);
        let Some(Item::Struct(item)) = file.items.iter().find(is_it) else { panic!("{name}") };
        // A comment would start with a space here, and in rust-analyzer with a slash.
        let doc = format!("`{name}` of the kernel.");
        assert!(item.attrs.contains(&parse_quote!(#[doc = #doc])), "{:?}", item.attrs);
        let fields = item
            .fields
            .iter()
            .filter(|field| matches!(field.vis, syn::Visibility::Public(_)) && !is_hidden(&field.attrs));
        let fields: Vec<_> = fields.map(|field| field.ident.as_ref().unwrap().to_string()).collect();
        assert_eq!(fields, expected);
    }
}
