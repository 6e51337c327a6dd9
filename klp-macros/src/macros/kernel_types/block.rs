//! What stands in a `kernel_types!` block.

use klp_btf::PointerKind;
use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, LitStr, Signature, Token, Type, braced};

use crate::args::Text;

/// The key for a module.
const OBJECT: &str = "object";

/// What the author wrote between the braces.
pub(super) struct Block {
    /// The module whose types are meant.
    pub(super) object: Option<Text>,
    /// The headers, in their order.
    pub(super) headers: Vec<Header>,
    pub(super) items: Vec<Item>,
}

/// `use "net/sock.h";`.
pub(super) struct Header {
    pub(super) attrs: Vec<Attribute>,
    pub(super) path: LitStr,
}

/// One item.
pub(super) struct Item {
    pub(super) attrs: Vec<Attribute>,
    pub(super) kind: Kind,
    pub(super) name: Ident,
}

impl Item {
    /// Whether its meaning is written in C beside it, so that it may need no header.
    pub(super) fn is_written_in_c(&self) -> bool {
        matches!(self.kind, Kind::Constant(_, Some(_)) | Kind::Macro(_, Some(_)))
    }
}

pub(super) enum Kind {
    /// A structure or union: some of its fields, or all.
    Structure(Option<Vec<FieldName>>),
    /// An enumeration with its constants.
    Enum,
    /// One constant of an enumeration or a header, with its type and its expression in C where they are written.
    Constant(Option<Box<Type>>, Option<Text>),
    /// A function that is called.
    Function,
    /// An inline function of a header.
    Inline,
    /// A function that evaluates a macro of a header, with the expression in C where that is written.
    Macro(Box<Signature>, Option<Text>),
}

/// A field that is asked for, and what the author says of the pointer that it is.
pub(super) struct FieldName {
    /// Its `#[cfg]`s.
    pub(super) attrs: Vec<Attribute>,
    pub(super) name: Ident,
    pub(super) pointer: Option<(Ident, PointerKind)>,
}

impl Parse for Block {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let object = if is_object(input) { Some(object(input)?) } else { None };
        let (mut headers, mut items) = (Vec::new(), Vec::new());
        while !input.is_empty() {
            if is_object(input) {
                return Err(input.error(
                    "`object` is for the whole block: write it once, as the first line, and types of another module \
                     in a block of their own",
                ));
            }
            let attrs = input.call(Attribute::parse_outer)?;
            if input.peek(Token![use]) {
                headers.push(header(input, attrs)?);
            } else {
                items.push(item(input, attrs)?);
            }
        }
        Ok(Self { object, headers, items })
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

/// The name of a field, and behind a colon what kind of pointer it is.
fn field(input: ParseStream<'_>) -> syn::Result<FieldName> {
    let attrs = input.call(Attribute::parse_outer)?;
    if let Some(other) = attrs.iter().find(|attribute| !attribute.path().is_ident("cfg")) {
        let message = "the only attribute of a field is `#[cfg]`: remove this one";
        return Err(syn::Error::new_spanned(other, message));
    }
    let name = input.call(Ident::parse_any)?;
    if !input.peek(Token![:]) {
        return Ok(FieldName { attrs, name, pointer: None });
    }
    input.parse::<Token![:]>()?;
    let expected = "the kernel's BTF has the type: write the name alone, or for a pointer `name: __percpu`, `name: \
                    __rcu` or `name: __user`";
    let kind: Ident = input.parse().map_err(|error| syn::Error::new(error.span(), expected))?;
    let Some(pointer) = PointerKind::named(&kind.to_string()) else {
        return Err(syn::Error::new(kind.span(), expected));
    };
    Ok(FieldName { attrs, name, pointer: Some((kind, pointer)) })
}

/// `use "net/sock.h";`, behind its attributes.
fn header(input: ParseStream<'_>, attrs: Vec<Attribute>) -> syn::Result<Header> {
    input.parse::<Token![use]>()?;
    if !input.peek(LitStr) {
        return Err(
            input.error("expected a header of the kernel, as `#include` has it: write `use \"net/sock.h\";`")
        );
    }
    let path: LitStr = input.parse()?;
    input.parse::<Token![;]>()?;
    Ok(Header { attrs, path })
}

/// An item, behind its attributes.
fn item(input: ParseStream<'_>, attrs: Vec<Attribute>) -> syn::Result<Item> {
    let kind = if input.peek(Token![macro]) {
        return macro_function(input, attrs);
    } else if input.peek(Token![struct]) || input.peek(Token![union]) {
        Kind::Structure(None)
    } else if input.peek(Token![enum]) {
        Kind::Enum
    } else if input.peek(Token![const]) {
        Kind::Constant(None, None)
    } else if input.peek(Token![fn]) {
        Kind::Function
    } else if is_inline(input) {
        input.parse::<Ident>()?;
        Kind::Inline
    } else if input.peek(Token![static]) {
        return Err(input.error(
            "a variable stands in an `unsafe extern \"C\"` block, under `#[klp_symbols]` if it is not exported, with its \
             type from here",
        ));
    } else {
        return Err(input.error(
            "write `struct name { field, … }`, `struct name;` for all its fields, `union …`, `enum name;`, \
             `const NAME;` or `fn name;`; of a header, behind `use \"….h\";`, also `inline fn name;` or \
             `macro fn name(…) -> …;`",
        ));
    };
    input.call(Ident::parse_any)?;
    let name = input.call(Ident::parse_any)?;
    let kind = match kind {
        Kind::Structure(_) if input.peek(syn::token::Brace) => {
            let content;
            braced!(content in input);
            let fields = Punctuated::<FieldName, Token![,]>::parse_terminated_with(&content, field)?;
            return Ok(Item { attrs, kind: Kind::Structure(Some(fields.into_iter().collect())), name });
        }
        Kind::Constant(..) => {
            let ty = if input.peek(Token![:]) {
                input.parse::<Token![:]>()?;
                Some(Box::new(input.parse()?))
            } else {
                None
            };
            Kind::Constant(ty, expression(input)?)
        }
        Kind::Function | Kind::Inline if input.peek(syn::token::Paren) => {
            let (what, has) = match kind {
                Kind::Inline => ("inline fn", "the header"),
                _ => ("fn", "the kernel's BTF"),
            };
            return Err(
                input.error(format!("{has} has the parameters and the result: write `{what} {name};`"))
            );
        }
        kind => kind,
    };
    input.parse::<Token![;]>()?;
    Ok(Item { attrs, kind, name })
}

fn is_inline(input: ParseStream<'_>) -> bool {
    let next: Option<Ident> = input.fork().parse().ok();
    next.is_some_and(|next| next == "inline") && input.peek2(Token![fn])
}

/// `macro fn name(…) -> …;`, or with `= "…"` before the semicolon.
fn macro_function(input: ParseStream<'_>, attrs: Vec<Attribute>) -> syn::Result<Item> {
    input.parse::<Token![macro]>()?;
    if !input.peek(Token![fn]) || !input.peek3(syn::token::Paren) {
        return Err(input.error(
            "a macro has no types: write `macro fn name(a: type, …) -> type;` with those of its arguments and its result",
        ));
    }
    let signature: Signature = input.parse()?;
    let expression = expression(input)?;
    input.parse::<Token![;]>()?;
    Ok(Item { attrs, name: signature.ident.clone(), kind: Kind::Macro(Box::new(signature), expression) })
}

/// `= "an expression in C"`, if it is there.
fn expression(input: ParseStream<'_>) -> syn::Result<Option<Text>> {
    if !input.peek(Token![=]) {
        return Ok(None);
    }
    input.parse::<Token![=]>()?;
    let value: Expr = input.parse()?;
    Text::from_expr(&value).map(Some).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_told_where_it_stands() {
        let error = syn::parse_str::<Block>("static jiffies_64: u64;").err().unwrap().to_string();
        assert!(error.starts_with("a variable stands in an `unsafe extern \"C\"` block"), "{error}");
    }
}
