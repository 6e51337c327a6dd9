//! What stands in a `kernel_types!` block.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Token, braced};

use crate::args::Text;

/// The key for a module.
const OBJECT: &str = "object";

/// What the author wrote between the braces.
pub(super) struct Block {
    /// The module whose types are meant.
    pub(super) object: Option<Text>,
    pub(super) items: Vec<Item>,
}

/// One item.
pub(super) struct Item {
    pub(super) attrs: Vec<Attribute>,
    pub(super) kind: Kind,
    pub(super) name: Ident,
}

pub(super) enum Kind {
    /// A structure or union: some of its fields, or all.
    Structure(Option<Vec<Ident>>),
    /// An enumeration with its constants.
    Enum,
    /// One constant of an enumeration.
    Constant,
    /// A function that is called.
    Function,
}

impl Parse for Block {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let object = if is_object(input) { Some(object(input)?) } else { None };
        let mut items = Vec::new();
        while !input.is_empty() {
            if is_object(input) {
                return Err(input.error(
                    "`object` is for the whole block: write it once, as the first line, and types of another module \
                     in a block of their own",
                ));
            }
            items.push(input.parse()?);
        }
        Ok(Self { object, items })
    }
}

fn is_object(input: ParseStream<'_>) -> bool {
    input.peek(syn::Ident) && input.peek2(Token![=])
}

/// `object = "…";`.
fn object(input: ParseStream<'_>) -> syn::Result<Text> {
    let key: Ident = input.parse()?;
    input.parse::<Token![=]>()?;
    let value: Expr = input.parse()?;
    input.parse::<Token![;]>()?;
    if key != OBJECT {
        let message = format!("the only key is `{OBJECT}`: write `object = \"nf_tables\";`");
        return Err(syn::Error::new_spanned(key, message));
    }
    Text::from_expr(&value).map_err(Into::into)
}

/// The name of a field.
fn field(input: ParseStream<'_>) -> syn::Result<Ident> {
    if input.peek(Token![#]) {
        return Err(input.error(
            "a field has no attributes, as the layout must be known before `#[cfg]` is: write the structure once \
             for each case, with `#[cfg]` above it",
        ));
    }
    input.call(Ident::parse_any)
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let lookahead = input.lookahead1();
        let is_structure = lookahead.peek(Token![struct]) || lookahead.peek(Token![union]);
        let kind = if is_structure {
            Kind::Structure(None)
        } else if lookahead.peek(Token![enum]) {
            Kind::Enum
        } else if lookahead.peek(Token![const]) {
            Kind::Constant
        } else if lookahead.peek(Token![fn]) {
            Kind::Function
        } else {
            return Err(input.error(
                "write `struct name { field, … }`, `struct name;` for all its fields, `union …`, `enum name;`, \
                 `const NAME;` or `fn name;`",
            ));
        };
        input.call(Ident::parse_any)?;
        let name = input.call(Ident::parse_any)?;
        let kind = if is_structure && input.peek(syn::token::Brace) {
            let content;
            braced!(content in input);
            let fields = Punctuated::<Ident, Token![,]>::parse_terminated_with(&content, field)?;
            Kind::Structure(Some(fields.into_iter().collect()))
        } else {
            input.parse::<Token![;]>()?;
            kind
        };
        Ok(Self { attrs, kind, name })
    }
}
