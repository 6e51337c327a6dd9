//! `kernel_types!`.

mod block;
mod conditions;
mod constant;
mod headers;
mod source;

use std::collections::BTreeSet;

use klp_btf::{Field, Prototype, RUNTIME_TYPES, Types, Writer};
use klp_format::manifest::{self, Line};
use klp_format::{VMLINUX, env};
use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, Parser};
use syn::{Attribute, Meta, MetaNameValue};

use crate::args::Text;
use crate::check::name::check_object;
use crate::diagnostics::{Diagnostics, Reported, list, nearest};
use crate::emit::{self, cfgs};
use block::{Block, FieldName, Header, Item, Kind};
use headers::Answer;
pub(crate) use source::Source;

/// What goes before `c_int` and its like.
const FFI: &str = "::core::ffi::";

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    expand_with(Source::find, input)
}

/// With the types of a kernel that is found so, or why there are none.
pub(crate) fn expand_with(find: impl FnOnce() -> Result<Source, String>, input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let tokens = generate(&mut diagnostics, find, input).unwrap_or_default();
    diagnostics.attach(tokens)
}

fn generate(
    diagnostics: &mut Diagnostics,
    find: impl FnOnce() -> Result<Source, String>,
    input: TokenStream,
) -> Result<TokenStream, Reported> {
    let mut block = Block::parse.parse2(input).map_err(|error| diagnostics.push(error))?;
    conditions::apply(diagnostics, &mut block);
    let Block { object, headers, items: wanted } = block;
    if let Some(object) = &object {
        check_object(diagnostics, object);
        diagnostics.check()?;
    }
    let module = object.filter(|object| object.value() != VMLINUX);
    let here = proc_macro2::Span::call_site();
    let mut source = find().map_err(|why| diagnostics.error_at(here, why))?;
    if let Some(module) = &module {
        source = source.with_module(&module.value()).map_err(|why| diagnostics.error(module, why))?;
    }
    let (kernel, own) = source.open().map_err(|why| diagnostics.error_at(here, why))?;
    let types = own.as_ref().unwrap_or(&kernel);
    let is_wanted = |name: &&str| wanted.iter().any(|item| item.name == *name);
    let elsewhere = RUNTIME_TYPES.into_iter().filter(|name| !is_wanted(name));
    let answer = ask(diagnostics, &headers, &wanted, types, &source)?;
    let mut bindings = Bindings {
        kernel: &kernel,
        types,
        source: &source,
        module: module.as_ref(),
        has_headers: !headers.is_empty(),
        answer: answer.as_ref(),
        writer: Writer::new(types, FFI, elsewhere, "::klp_runtime::types::"),
        others: TokenStream::new(),
        diagnostics,
    };
    // Before anything is declared, so that the order of items does not matter: structures of which fields are
    // named may be parts of others, and enumerations may be fields.
    for item in &wanted {
        bindings.at(item, |bindings| bindings.reserve(item));
    }
    let numbered = || wanted.iter().enumerate();
    let is_enum = |(_, item): &(usize, &Item)| matches!(item.kind, Kind::Enum);
    for (number, item) in numbered().filter(is_enum).chain(numbered().filter(|item| !is_enum(item))) {
        bindings.at(item, |bindings| bindings.add(number, item));
    }
    let Bindings { writer, others, .. } = bindings;
    let text = with_doc_attributes(&writer.finish());
    let declared: TokenStream = text.parse().map_err(|_| {
        diagnostics.error_at(proc_macro2::Span::call_site(), "this kernel's types make no Rust: report them")
    })?;
    let names: Vec<&Ident> = wanted
        .iter()
        .flat_map(|item| {
            let fields = if let Kind::Structure(Some(fields)) = &item.kind { &**fields } else { &[] };
            fields.iter().map(|field| &field.name).chain([&item.name])
        })
        .collect();
    let (object, btf) = (module.as_ref().map_or_else(|| VMLINUX.into(), Text::value), source.btf());
    let lines = wanted.iter().map(|item| {
        let line = manifest::Binding {
            name: item.name.unraw().to_string(),
            object: object.clone(),
            btf: btf.to_string_lossy().into_owned(),
        };
        emit::manifest(&cfgs(&item.attrs), Line::Binding(line))
    });
    let declared = located(declared, &names);
    // Another module makes other types, too; for the same file the command may find another one.
    let of_module = module.as_ref().map(|_| {
        let file = source.module_file().map(|file| {
            let file = file.to_string_lossy();
            quote!(
                const _: &[u8] = ::core::include_bytes!(#file);
            )
        });
        let types = env::TYPES;
        quote! {
            const _: ::core::option::Option<&str> = ::core::option_env!(#types);
            #file
        }
    });
    let of_headers = answer.as_ref().map(Answer::dependency);
    let btf = env::BTF;
    Ok(quote! {
        // Another kernel makes other types.
        const _: ::core::option::Option<&str> = ::core::option_env!(#btf);
        #of_module
        #of_headers
        #declared
        #others
        #(#lines)*
    })
}

/// The same items, with attributes for comments of documentation: rust-analyzer shows a slash of a comment that a macro
/// has parsed.
fn with_doc_attributes(text: &str) -> String {
    let attribute = |line: &str| {
        let doc = line.trim_start().strip_prefix("///")?;
        Some(format!("#[doc = {:?}]\n", doc.strip_prefix(' ').unwrap_or(doc)))
    };
    text.lines().map(|line| attribute(line).unwrap_or_else(|| format!("{line}\n"))).collect()
}

/// What the command says of the items that headers have; `None` where no item is one.
fn ask(
    diagnostics: &mut Diagnostics,
    headers: &[Header],
    wanted: &[Item],
    types: &Types,
    source: &Source,
) -> Result<Option<Answer>, Reported> {
    let mut questions = Vec::new();
    for (number, item) in wanted.iter().enumerate() {
        if headers.is_empty() && !item.is_written_in_c() {
            continue;
        }
        let reported = diagnostics.len();
        if let Ok(Some(question)) = headers::question(diagnostics, item, types) {
            questions.push((number, question));
        }
        diagnostics.only_with(reported, &cfgs(&item.attrs));
    }
    if questions.is_empty() {
        return Ok(None);
    }
    Answer::of(diagnostics, source, headers, questions).map(Some)
}

/// The tokens with those names that the author wrote at the author's place.
fn located(tokens: TokenStream, names: &[&Ident]) -> TokenStream {
    let locate = |token| match token {
        TokenTree::Ident(mut ident) => {
            if let Some(written) = names.iter().find(|name| ***name == ident) {
                ident.set_span(written.span());
            }
            TokenTree::Ident(ident)
        }
        TokenTree::Group(group) => {
            let mut inner = Group::new(group.delimiter(), located(group.stream(), names));
            inner.set_span(group.span());
            TokenTree::Group(inner)
        }
        other => other,
    };
    tokens.into_iter().map(locate).collect()
}

struct Bindings<'a> {
    /// The types of the kernel alone.
    kernel: &'a Types,
    /// Those of the module on top of them, where there is one.
    types: &'a Types,
    source: &'a Source,
    module: Option<&'a Text>,
    has_headers: bool,
    answer: Option<&'a Answer>,
    writer: Writer<'a>,
    /// What the writer does not declare.
    others: TokenStream,
    diagnostics: &'a mut Diagnostics,
}

impl Bindings<'_> {
    /// Does something for an item. What is wrong with one does not hide what is wrong with the next, and is an
    /// error only where the item's `#[cfg]` holds.
    fn at(&mut self, item: &Item, step: impl FnOnce(&mut Self) -> Result<(), Reported>) {
        let reported = self.diagnostics.len();
        let _ = step(self);
        self.diagnostics.only_with(reported, &cfgs(&item.attrs));
    }

    /// Keeps the fields of a structure until it is needed.
    fn reserve(&mut self, wanted: &Item) -> Result<(), Reported> {
        let Kind::Structure(Some(fields)) = &wanted.kind else { return Ok(()) };
        let ident = &wanted.name;
        let name = ident.unraw().to_string();
        let id = self.structure(ident, &name)?;
        let fields = self.fields(&name, id, fields)?;
        let reserved = self.writer.reserve_part(&name, id, fields, &attributes(wanted));
        self.btf(ident, reserved)
    }

    /// The number of a structure or union.
    fn structure(&mut self, ident: &Ident, name: &str) -> Result<u32, Reported> {
        let id = self.find(ident, name)?;
        if self.btf(ident, self.types.layout(id))?.is_none() {
            let message = format!("`{name}` of {} is not a structure or union", self.source.name());
            return Err(self.diagnostics.error(ident, message));
        }
        Ok(id)
    }

    fn add(&mut self, number: usize, wanted: &Item) -> Result<(), Reported> {
        let ident = &wanted.name;
        let name = ident.unraw().to_string();
        if let Some(answer) = self.answer.filter(|answer| answer.is_about(number)) {
            let declared = answer.declare(self.diagnostics, number, wanted, &mut self.writer)?;
            self.others.extend(declared);
            return Ok(());
        }
        match &wanted.kind {
            Kind::Structure(None) => {
                let id = self.structure(ident, &name)?;
                let declared = self.writer.whole(&name, id, &attributes(wanted));
                self.btf(ident, declared)?;
            }
            Kind::Structure(Some(_)) => {
                // What is wrong with it was said when it was reserved.
                if let Ok(Some(id)) = self.types.find(&name) {
                    let declared = self.writer.part(id);
                    self.btf(ident, declared)?;
                }
            }
            Kind::Enum => {
                let id = self.find(ident, &name)?;
                let declared = self.writer.constants(&name, id);
                if self.btf(ident, declared)?.is_none() {
                    let message = format!("`{name}` of {} is not an enumeration", self.source.name());
                    return Err(self.diagnostics.error(ident, message));
                }
            }
            // What is wrong with it was said when it was asked for, unless no header is named.
            Kind::Inline | Kind::Macro(..) if self.has_headers => {}
            Kind::Inline | Kind::Macro(..) => {
                let message =
                    "name the header that has it, as the first line of the block: `use \"net/sock.h\";`";
                return Err(self.diagnostics.error(ident, message));
            }
            Kind::Constant(..) => {
                let Some((id, value)) = self.btf(ident, self.types.enumerator(&name))? else {
                    let message = format!(
                        "{} has no enumeration with `{name}`: for a macro, name its header, `use \"linux/jiffies.h\";`",
                        self.source.name()
                    );
                    return Err(self.diagnostics.error(ident, message));
                };
                let declared = self.writer.constant(&name, id, value);
                self.btf(ident, declared)?;
            }
            Kind::Function => {
                let (attrs, prototype) = self.prototype(wanted, &name)?;
                let declared = self.writer.function(&prototype);
                let item: TokenStream = self.btf(ident, declared)?.parse().unwrap_or_default();
                let item = located(item, &[ident]);
                let docs = format!("`{name}` of the kernel.");
                self.others.extend(quote! {
                    #(#attrs)*
                    #[allow(improper_ctypes)]
                    unsafe extern "C" {
                        #[doc = #docs]
                        #item
                    }
                });
            }
        }
        Ok(())
    }

    /// The prototype of a function, and the attributes of its declaration: one that is not exported is of the
    /// block's object, others are the module's or the kernel's.
    fn prototype(&mut self, wanted: &Item, name: &str) -> Result<(Vec<Attribute>, Prototype), Reported> {
        let ident = &wanted.name;
        let block = self.module.map_or_else(|| VMLINUX.to_owned(), Text::value);
        let mut attrs = wanted.attrs.clone();
        let mut places = vec![self.types, self.kernel];
        if let Some(attribute) = attrs.iter_mut().find(|attribute| is_klp_symbols(attribute)) {
            match object_of(&attribute.meta) {
                None => {
                    let path = attribute.path().clone();
                    attribute.meta = syn::parse_quote!(#path(object = #block));
                    places = vec![self.types];
                }
                Some(object) if object.value() == block => places = vec![self.types],
                Some(object) if object.value() == VMLINUX => places = vec![self.kernel],
                Some(object) => {
                    let message = format!(
                        "the block has the types of {block}: declare what {0} has in a block that starts with \
                         `object = \"{0}\";`",
                        object.value()
                    );
                    return Err(self.diagnostics.error(object, message));
                }
            }
        }
        for types in places {
            if let Some(found) = self.btf(ident, types.prototypes(name))?.into_iter().next() {
                return Ok((attrs, found));
            }
        }
        let hint = match self.kernel.prototypes(name) {
            Ok(found) if !found.is_empty() => {
                ", but vmlinux has one: write `#[klp_symbols(object = \"vmlinux\")]`".into()
            }
            _ => match headers::lost(self.source, name) {
                Some(advice) => format!(": {advice}"),
                None => format!(
                    "; for an inline function, write `use \"its/header.h\"; inline fn {name};`{}",
                    self.hint_at_modules()
                ),
            },
        };
        let message = format!("{} has no prototype of `{name}` in its BTF{hint}", self.source.name());
        Err(self.diagnostics.error(ident, message))
    }

    /// What to write where vmlinux lacks something that a module may have.
    fn hint_at_modules(&self) -> String {
        match self.module {
            Some(_) => String::new(),
            None => "; for what a module has, start the block with `object = \"the_module\";`".into(),
        }
    }

    /// The number of a type.
    fn find(&mut self, ident: &Ident, name: &str) -> Result<u32, Reported> {
        if let Some(id) = self.btf(ident, self.types.find(name))? {
            return Ok(id);
        }
        let hint = match self.module {
            None => self.hint_at_modules(),
            Some(_) => {
                let own = self.btf(ident, self.types.structures())?;
                let near = nearest(name, own.iter().map(|(name, _)| &**name));
                near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default()
            }
        };
        let message = format!("{} has no type `{name}`{hint}", self.source.name());
        Err(self.diagnostics.error(ident, message))
    }

    /// The fields that were asked for, none of which shares its place with another.
    fn fields(&mut self, name: &str, id: u32, wanted: &[FieldName]) -> Result<Vec<Field>, Reported> {
        let Some(first) = wanted.first() else { return Ok(Vec::new()) };
        let all = self.btf(&first.name, self.types.fields(id))?;
        let mut found: Vec<(&Ident, Field, u64)> = Vec::new();
        let mut seen = BTreeSet::new();
        for FieldName { name: ident, pointer, .. } in wanted {
            let field_name = ident.unraw().to_string();
            let Some(field) = all.iter().find(|field| field.name == field_name) else {
                let near = nearest(&field_name, all.iter().map(|field| &*field.name));
                let hint = match (self.btf(ident, inner_field(self.types, &all, &field_name))?, near) {
                    (Some([outer, inner]), _) => {
                        format!(
                            "C has a macro of that name for `{outer}.{inner}`: name these, each in its structure"
                        )
                    }
                    (None, Some(near)) => format!("did you mean `{near}`?"),
                    (None, None) => format!("it has {}", list(all.iter().map(|field| &*field.name).take(20))),
                };
                let message =
                    format!("`{name}` of {} has no field `{field_name}`: {hint}", self.source.name());
                self.diagnostics.error(ident, message);
                continue;
            };
            let end = field.offset / 8 + self.btf(ident, self.types.size_of(field.id))?;
            let overlaps = |(_, other, other_end): &&(&Ident, Field, u64)| {
                field.offset / 8 < *other_end && other.offset / 8 < end
            };
            let mut whole = found.iter().filter(|(_, other, _)| field.bits.is_none() && other.bits.is_none());
            if !seen.insert(field_name.clone()) {
                self.diagnostics.error(ident, format!("`{field_name}` is written twice: keep one"));
            } else if let Some((other, ..)) = whole.find(overlaps) {
                let message = format!(
                    "`{field_name}` is in a union with `{other}`, at the same place: keep one of them"
                );
                self.diagnostics.error(ident, message);
            } else {
                let field = Field { pointer: pointer.as_ref().map(|(_, kind)| *kind), ..field.clone() };
                if let Some((kind, _)) = pointer {
                    if !self.btf(kind, self.types.is_pointer(field.id))? {
                        self.diagnostics.error(kind, format!("`{ident}` is not a pointer"));
                    }
                }
                found.push((ident, field, end));
            }
        }
        // Also where one is missing: those that are there need not be errors at each use.
        Ok(found.into_iter().map(|(_, field, _)| field).collect())
    }

    /// What BTF says, or that it can't be read.
    fn btf<T>(&mut self, at: impl ToTokens, read: klp_btf::Result<T>) -> Result<T, Reported> {
        read.map_err(|error| {
            let message = format!("the types of {} can't be read: {error}", self.source.name());
            self.diagnostics.error(at, message)
        })
    }
}

/// A field and the one in it that a macro of C is likely to stand for under a name: those of `struct sock` have a
/// prefix in place of another, `sk_family` for `__sk_common.skc_family`.
fn inner_field(types: &Types, fields: &[Field], name: &str) -> klp_btf::Result<Option<[String; 2]>> {
    let Some((_, ending)) = name.split_once('_') else { return Ok(None) };
    for outer in fields.iter().filter(|outer| outer.bits.is_none() && outer.name.ends_with("_common")) {
        for inner in types.fields(outer.id)? {
            if inner.name.split_once('_').is_some_and(|(_, inner)| inner == ending) {
                return Ok(Some([outer.name.clone(), inner.name]));
            }
        }
    }
    Ok(None)
}

/// The `#[cfg]`s of an item, as text.
fn attributes(item: &Item) -> String {
    cfgs(&item.attrs).iter().map(|cfg| cfg.to_token_stream().to_string()).collect::<Vec<_>>().join("\n")
}

/// Whether an attribute says that a function is not exported.
fn is_klp_symbols(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == "klp_symbols")
}

/// The object that it names.
fn object_of(meta: &Meta) -> Option<Text> {
    let Meta::List(list) = meta else { return None };
    let argument: MetaNameValue = list.parse_args().ok()?;
    Text::from_expr(&argument.value).ok()
}
