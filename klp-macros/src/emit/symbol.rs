//! Symbols that the build must find: a name for the linker until then, and a line of the manifest.

use klp_format::manifest::{self, Line, SymbolKind};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Attribute, Ident};

use crate::args::Number;
use crate::span::source_location;

/// A symbol that the build must find.
pub(crate) struct SymbolRequest<'a> {
    pub(crate) object: &'a str,
    pub(crate) symbol: &'a str,
    pub(crate) sympos: Option<&'a Number>,
    pub(crate) kind: SymbolKind,
    /// The patch's own name for it.
    pub(crate) name: &'a Ident,
}

impl SymbolRequest<'_> {
    /// The name that stands for it until the build knows where it is: on the target, for the linker.
    /// The same for all that ask for the same.
    pub(crate) fn placeholder(&self) -> String {
        let sympos = match self.sympos {
            None => String::new(),
            Some(sympos) => sympos.to_token_stream().to_string(),
        };
        format!("__klp_symbol:{}:{}:{}:{sympos}", self.kind, self.object, self.symbol)
    }

    /// Its line of the manifest.
    pub(crate) fn manifest(&self, cfgs: &[&Attribute]) -> TokenStream {
        let line = manifest::Symbol {
            object: self.object.to_owned(),
            symbol: self.symbol.to_owned(),
            sympos: self.sympos.map_or_else(|| quote!(0), ToTokens::to_token_stream),
            kind: self.kind.clone(),
            name: self.name.unraw().to_string(),
            placeholder: self.placeholder(),
            place: source_location(self.name),
        };
        super::manifest(cfgs, Line::Symbol(line))
    }
}

/// The attributes that give an item its name for the linker.
///
/// On the host that is the symbol itself: a test that wants to may define it.
pub(crate) fn link_name(request: &SymbolRequest<'_>, ident: &Ident) -> Vec<Attribute> {
    let placeholder = request.placeholder();
    let mut attributes = vec![syn::parse_quote!(#[cfg_attr(target_os = "none", link_name = #placeholder)])];
    if ident.unraw() != request.symbol {
        let symbol = request.symbol;
        attributes.push(syn::parse_quote!(#[cfg_attr(not(target_os = "none"), link_name = #symbol)]));
    }
    attributes
}
