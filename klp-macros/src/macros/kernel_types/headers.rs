//! Items that the kernel's headers have: inline functions, macros and constants.
//!
//! The command has the compiler say what they are. A function in C calls an inline function or evaluates a macro; Rust
//! calls that one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use klp_btf::{Types, Writer};
use klp_format::env;
use klp_format::headers::{self, ANSWER, BTF, Line, Request, variable};
use klp_format::manifest::{self, Wrapper};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Attribute, FnArg, Pat, ReturnType, Signature, TypePath};

use super::block::{Header, Item, Kind};
use super::constant::Constant;
use super::source::Source;
use crate::args::Text;
use crate::check::c_type::{c_type, declared};
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::{self, cfgs};
use crate::span::source_location;

/// What has a name that is not where it was looked for, in the words of the command, where there is one.
pub(super) fn lost(source: &Source, name: &str) -> Option<String> {
    let request = Request { headers: Vec::new(), items: vec![headers::Item::Lost { name: name.to_owned() }] };
    let directory = source.ask(&headers::write_request(&request)).ok()?;
    let lines = headers::read_answer(&fs::read_to_string(directory.join(ANSWER)).ok()?)?;
    lines.into_iter().find_map(|line| match line {
        Line::Fault { why, .. } if !why.is_empty() => Some(why),
        _ => None,
    })
}

/// What the command has answered.
pub(super) struct Answer {
    directory: PathBuf,
    /// The types of what was asked for.
    types: Types,
    /// The headers that the kernel has.
    headers: Vec<String>,
    /// What is known of each item, by its number in the block, with its number in the request.
    items: BTreeMap<usize, (usize, Line)>,
}

/// The question about an item; `None` for one that is not of a header.
pub(super) fn question(
    diagnostics: &mut Diagnostics,
    item: &Item,
    types: &Types,
) -> Result<Option<headers::Item>, Reported> {
    let name = item.name.unraw().to_string();
    Ok(Some(match &item.kind {
        Kind::Inline => headers::Item::Function { name },
        Kind::Constant(None, None) if !matches!(types.enumerator(&name), Ok(None)) => return Ok(None),
        Kind::Constant(_, expression) => {
            headers::Item::Constant { expression: expression.as_ref().map_or(name, Text::value) }
        }
        Kind::Macro(signature, expression) => {
            let (returns, parameters, arguments) = in_c(diagnostics, signature, types)?;
            let expression = expression.as_ref().map_or_else(|| format!("{name}({arguments})"), Text::value);
            headers::Item::Expression { name, returns, expression, parameters }
        }
        Kind::Structure(_) | Kind::Enum | Kind::Function => return Ok(None),
    }))
}

/// The type of the result, the declarations of the parameters, and their names as arguments.
fn in_c(
    diagnostics: &mut Diagnostics,
    signature: &Signature,
    types: &Types,
) -> Result<(String, Vec<String>, String), Reported> {
    let other = |name: &str| types.c_name(name).unwrap_or_else(|| format!("struct {name}"));
    let (mut parameters, mut arguments) = (Vec::new(), Vec::new());
    let reported = diagnostics.len();
    if !signature.generics.params.is_empty() {
        diagnostics.error(&signature.generics, "C has no generics or lifetimes: write the types out");
    }
    for input in &signature.inputs {
        let (FnArg::Typed(parameter), Some(name)) = (input, name(input)) else {
            diagnostics.error(input, "a parameter needs a name and a type: write `name: type`");
            continue;
        };
        if let Ok(ty) = c_type(diagnostics, &parameter.ty, &other) {
            // What a macro writes to its argument would be lost: the compiler refuses it.
            parameters.push(declared(&ty, &format!("const {name}")));
            arguments.push(name);
        }
    }
    let returns = match &signature.output {
        ReturnType::Default => "void".to_owned(),
        ReturnType::Type(_, ty) => c_type(diagnostics, ty, &other).unwrap_or_default(),
    };
    diagnostics.check_from(reported)?;
    Ok((returns, parameters, arguments.join(", ")))
}

/// The name of a parameter.
fn name(input: &FnArg) -> Option<String> {
    match input {
        FnArg::Typed(parameter) => match &*parameter.pat {
            Pat::Ident(name) => Some(name.ident.unraw().to_string()),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    }
}

impl Answer {
    /// Has the command answer the questions, each with the number of its item in the block. What is wrong with the
    /// headers is an error at each.
    pub(super) fn of(
        diagnostics: &mut Diagnostics,
        source: &Source,
        wanted: &[Header],
        questions: Vec<(usize, headers::Item)>,
    ) -> Result<Self, Reported> {
        let here = proc_macro2::Span::call_site();
        let (numbers, items): (Vec<usize>, Vec<_>) = questions.into_iter().unzip();
        let paths: Vec<String> = wanted.iter().map(|header| header.path.value()).collect();
        let request = Request { headers: paths.clone(), items };
        let request = headers::write_request(&request);
        let directory = source.ask(&request).map_err(|why| diagnostics.error_at(here, why))?;
        let read = || {
            let text = fs::read_to_string(directory.join(ANSWER)).ok()?;
            headers::read_answer(&text)
        };
        let Some(lines) = read() else {
            let message = format!("`{}` is not an answer of cargo-klp", directory.display());
            return Err(diagnostics.error_at(here, message));
        };
        let mut is_incomplete = false;
        let (mut missing, mut items) = (Vec::new(), BTreeMap::new());
        for line in lines {
            let item = match &line {
                Line::Header { header, why } => {
                    missing.push(*header);
                    is_incomplete |= unusable(diagnostics, &wanted[*header], why);
                    continue;
                }
                Line::Fault { item: None, why } => {
                    let message = format!("the headers of {} can't be compiled: {why}", source.kernel());
                    return Err(match wanted.first() {
                        Some(header) => diagnostics.error(&header.path, message),
                        None => diagnostics.error_at(here, message),
                    });
                }
                Line::Fault { item: Some(item), .. }
                | Line::Function { item, .. }
                | Line::Constant { item, .. } => *item,
            };
            items.insert(numbers[item], (item, line));
        }
        // What depends on a missing header is missing with it.
        if is_incomplete {
            diagnostics.check()?;
        }
        let types = Types::open(&directory.join(BTF)).map_err(|error| {
            let message = format!("`{}` can't be read: {error}", directory.display());
            diagnostics.error_at(here, message)
        })?;
        let is_there = |(index, path): (usize, String)| (!missing.contains(&index)).then_some(path);
        let headers = paths.into_iter().enumerate().filter_map(is_there).collect();
        Ok(Self { directory, types, headers, items })
    }

    /// Whether an item was asked for.
    pub(super) fn is_about(&self, item: usize) -> bool {
        self.items.contains_key(&item)
    }

    /// The declaration of an item, with its line of the manifest.
    pub(super) fn declare(
        &self,
        diagnostics: &mut Diagnostics,
        index: usize,
        item: &Item,
        writer: &mut Writer<'_>,
    ) -> Result<TokenStream, Reported> {
        let ident = &item.name;
        let unreadable = |diagnostics: &mut Diagnostics, error: klp_btf::Error| {
            diagnostics.error(ident, format!("the type of `{ident}` can't be read: {error}"))
        };
        match self.items.get(&index) {
            None => Err(diagnostics.error(ident, format!("the answer about the headers lacks `{ident}`"))),
            Some((_, Line::Header { .. })) => Ok(TokenStream::new()),
            Some((_, Line::Fault { why, .. })) => Err(diagnostics.error(ident, why)),
            Some((number, Line::Function { symbol, text, .. })) => {
                let signature = match &item.kind {
                    Kind::Macro(signature, _) => {
                        reference_types(signature, writer).map_err(|error| unreadable(diagnostics, error))?;
                        quote!(pub #signature;)
                    }
                    _ => {
                        let name = ident.unraw().to_string();
                        let found = self
                            .types
                            .variable(&variable(*number))
                            .and_then(|id| self.types.pointed_prototype(id.unwrap_or(0), &name));
                        let declared = found.and_then(|prototype| match prototype {
                            Some(prototype) => {
                                writer.with_types(&self.types, |writer| writer.function(&prototype))
                            }
                            None => Ok(String::new()),
                        });
                        let declared = declared.map_err(|error| unreadable(diagnostics, error))?;
                        super::located(declared.parse().unwrap_or_default(), &[ident])
                    }
                };
                Ok(self.function(item, symbol, text, &signature))
            }
            Some((number, Line::Constant { value, .. })) => {
                let kind = |id: u32| Ok((self.types.class(id)?.kind, id));
                let found = self.types.variable(&variable(*number)).and_then(|id| kind(id.unwrap_or(0)));
                let (kind, id) = found.map_err(|error| unreadable(diagnostics, error))?;
                let Some(constant) = Constant::of(kind, *value) else {
                    let message = format!(
                        "`{ident}` of the headers is neither an integer nor a `bool`: write `macro fn {ident}() -> …;` for \
                         what it is at run time"
                    );
                    return Err(diagnostics.error(ident, message));
                };
                if let Kind::Constant(Some(ty), _) = &item.kind {
                    constant.check(diagnostics, ident, ty)?;
                }
                let literal = constant.literal(ident);
                let ty = match &item.kind {
                    Kind::Constant(Some(ty), _) => ty.to_token_stream(),
                    _ => {
                        let text = writer.with_types(&self.types, |writer| writer.value(id));
                        let text = text.map_err(|error| unreadable(diagnostics, error))?;
                        text.parse().unwrap_or_default()
                    }
                };
                let (attrs, docs) = (&item.attrs, docs(item));
                Ok(quote! {
                    #(#attrs)*
                    #docs
                    #[allow(dead_code, non_upper_case_globals)]
                    pub const #ident: #ty = #literal;
                })
            }
        }
    }

    fn function(&self, item: &Item, symbol: &str, text: &str, signature: &TokenStream) -> TokenStream {
        let cfgs = cfgs(&item.attrs);
        let is_cfg = |attribute: &&Attribute| attribute.path().is_ident("cfg");
        let attrs = item.attrs.iter().filter(|attribute| !is_cfg(attribute));
        let docs = docs(item);
        let line = Wrapper {
            symbol: symbol.to_owned(),
            headers: self.headers.clone(),
            text: text.to_owned(),
            place: source_location(&item.name),
        };
        let manifest = emit::manifest(&cfgs, manifest::Line::Wrapper(line));
        quote! {
            #(#cfgs)*
            #[allow(improper_ctypes)]
            unsafe extern "C" {
                #(#attrs)*
                #docs
                #[cfg_attr(target_os = "none", link_name = #symbol)]
                #signature
            }
            #manifest
        }
    }

    /// What has cargo and the command notice that the headers have changed.
    pub(super) fn dependency(&self) -> TokenStream {
        let (types, file) = (env::TYPES, self.directory.join(ANSWER));
        let file = file.to_string_lossy();
        let line = manifest::Headers { answer: self.directory.to_string_lossy().into_owned() };
        let manifest = emit::manifest(&[], manifest::Line::Headers(line));
        quote! {
            const _: ::core::option::Option<&str> = ::core::option_env!(#types);
            const _: &[u8] = ::core::include_bytes!(#file);
            #manifest
        }
    }
}

/// Reports a header that can't be used. Returns whether it must be there: one with a `#[cfg]` need not.
fn unusable(diagnostics: &mut Diagnostics, header: &Header, why: &str) -> bool {
    let reported = diagnostics.len();
    diagnostics.error(&header.path, why);
    let cfgs = cfgs(&header.attrs);
    diagnostics.only_with(reported, &cfgs);
    cfgs.is_empty()
}

/// A documentation, where the author wrote none.
fn docs(item: &Item) -> Option<TokenStream> {
    let is_documented = item.attrs.iter().any(|attribute| attribute.path().is_ident("doc"));
    let text = format!("`{}` of the kernel's headers.", item.name.unraw());
    (!is_documented).then(|| quote!(#[doc = #text]))
}

/// Declares the structures that a signature names.
fn reference_types(signature: &Signature, writer: &mut Writer<'_>) -> klp_btf::Result<()> {
    struct Names(Vec<String>);
    impl<'ast> Visit<'ast> for Names {
        fn visit_type_path(&mut self, path: &'ast TypePath) {
            self.0.extend(path.path.get_ident().map(|name| name.unraw().to_string()));
            visit::visit_type_path(self, path);
        }
    }
    let mut names = Names(Vec::new());
    names.visit_signature(signature);
    names.0.iter().try_for_each(|name| writer.reference(name).map(drop))
}
