//! The values of arguments.

use darling::FromMeta;
use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, ExprUnary, Ident, Lit, LitStr, Meta, Path, UnOp};

/// The value of `key = value`; `meant` says what belongs there.
fn value<'a>(meta: &'a Meta, meant: &str) -> darling::Result<&'a Expr> {
    match meta {
        Meta::NameValue(pair) => {
            let mut value = &pair.value;
            while let Expr::Group(group) = value {
                value = &group.expr;
            }
            Ok(value)
        }
        Meta::Path(_) | Meta::List(_) => {
            let key = meta.path().to_token_stream();
            Err(wrong(meta, format!("`{key}` needs a value, {meant}: write `{key} = …`")))
        }
    }
}

fn wrong(tokens: impl ToTokens, message: impl std::fmt::Display) -> darling::Error {
    syn::Error::new_spanned(tokens, message).into()
}

/// What someone wrote in place of something else.
fn kind(value: &Expr) -> &'static str {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(_) => "a string",
            Lit::ByteStr(_) => "a byte string",
            Lit::CStr(_) => "a C string",
            Lit::Byte(_) => "a byte",
            Lit::Int(_) => "a number",
            Lit::Float(_) => "a floating-point number",
            Lit::Char(_) => "a character",
            Lit::Bool(_) => "a boolean",
            _ => "a literal",
        },
        Expr::Array(_) => "a list",
        Expr::Macro(_) => "a macro call",
        _ => "an expression",
    }
}

/// A string literal.
#[derive(Clone, Debug)]
pub(crate) struct Text(LitStr);

impl Text {
    /// The string.
    pub(crate) fn value(&self) -> String {
        self.0.value()
    }

    /// A string that an expression is.
    pub(crate) fn from_expr(value: &Expr) -> darling::Result<Self> {
        match value {
            Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => Ok(Self(literal.clone())),
            other => Err(wrong(other, format!("expected a string, found {}: write `\"…\"`", kind(other)))),
        }
    }
}

impl FromMeta for Text {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        Self::from_expr(value(meta, "a string")?)
    }
}

impl ToTokens for Text {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// A list of string literals.
#[derive(Clone, Debug)]
pub(crate) struct Texts(pub(crate) Vec<Text>, pub(crate) Span);

impl FromMeta for Texts {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        let list = value(meta, "a list of strings")?;
        let Expr::Array(array) = list else {
            let message = format!("expected a list of strings, found {}: write `[\"…\"]`", kind(list));
            return Err(wrong(list, message));
        };
        let mut errors = darling::Error::accumulator();
        let texts = array.elems.iter().filter_map(|text| errors.handle(Text::from_expr(text))).collect();
        errors.finish_with(Self(texts, array.span()))
    }
}

/// A constant expression that is a number.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    expr: Expr,
    literal: Option<u64>,
}

impl Number {
    /// The number, where a literal was written.
    pub(crate) fn literal(&self) -> Option<u64> {
        self.literal
    }
}

impl FromMeta for Number {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        let key = meta.path().to_token_stream();
        let expr = value(meta, "an integer")?.clone();
        let literal = match &expr {
            Expr::Lit(ExprLit { lit: Lit::Int(literal), .. }) => {
                Some(literal.base10_parse().map_err(|_| {
                    let negative = literal.to_string().starts_with('-');
                    let fault = if negative { "must not be negative" } else { "must fit into 64 bits" };
                    wrong(literal, format!("`{key}` {fault}"))
                })?)
            }
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if text.value().parse::<u64>().is_ok() => {
                // What C and chmod write for base 8.
                let digits = text.value();
                let octal = digits.strip_prefix('0').filter(|digits| !digits.is_empty());
                let number = octal.map_or_else(|| digits.clone(), |octal| format!("0o{octal}"));
                let message = format!("expected an integer, found a string: write `{number}` without quotes");
                return Err(wrong(text, message));
            }
            Expr::Lit(_) | Expr::Array(_) => {
                let message =
                    format!("expected an integer, found {}: write a number or a constant", kind(&expr));
                return Err(wrong(&expr, message));
            }
            Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. }) => {
                return Err(wrong(&expr, format!("`{key}` must not be negative")));
            }
            _ => None,
        };
        Ok(Self { expr, literal })
    }
}

impl ToTokens for Number {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.expr.to_tokens(tokens);
    }
}

/// A constant expression that is a boolean.
#[derive(Clone, Debug)]
pub(crate) struct Switch(Expr);

impl Switch {
    /// The boolean, where a literal was written.
    pub(crate) fn literal(&self) -> Option<bool> {
        match &self.0 {
            Expr::Lit(ExprLit { lit: Lit::Bool(literal), .. }) => Some(literal.value),
            _ => None,
        }
    }
}

impl FromMeta for Switch {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        let expr = value(meta, "a boolean")?;
        match expr {
            Expr::Lit(ExprLit { lit: Lit::Bool(_), .. }) => Ok(Self(expr.clone())),
            Expr::Lit(_) | Expr::Array(_) => Err(wrong(
                expr,
                format!("expected a boolean, found {}: write `true` or `false`, or a constant", kind(expr)),
            )),
            _ => Ok(Self(expr.clone())),
        }
    }
}

impl ToTokens for Switch {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// A word that stands alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag;

impl FromMeta for Flag {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        match meta {
            Meta::Path(_) => Ok(Self),
            _ => {
                let key = meta.path().to_token_stream();
                Err(wrong(meta, format!("`{key}` takes no value: write `{key}` alone, or leave it out")))
            }
        }
    }
}

/// A list of arguments behind a key: `key(…)`.
#[derive(Clone, Debug)]
pub(crate) struct Nested(TokenStream, Span);

impl Nested {
    /// The arguments.
    pub(crate) fn tokens(&self) -> TokenStream {
        self.0.clone()
    }

    /// The key and its list.
    pub(crate) fn span(&self) -> Span {
        self.1
    }
}

impl FromMeta for Nested {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        match meta {
            Meta::List(list) => Ok(Self(list.tokens.clone(), meta.span())),
            _ => {
                let key = meta.path().to_token_stream();
                Err(wrong(meta, format!("`{key}` has arguments of its own: write `{key}(…)`")))
            }
        }
    }
}

/// A name that is to be given to something.
#[derive(Clone, Debug)]
pub(crate) struct Name(pub(crate) Ident);

impl FromMeta for Name {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        let key = meta.path().to_token_stream();
        match value(meta, "a name")? {
            Expr::Path(path) if path.path.get_ident().is_some() => {
                Ok(Self(path.path.require_ident().expect("it is one").clone()))
            }
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
                let message = format!(
                    "expected a name, found a string: write `{key} = {}` without quotes",
                    text.value()
                );
                Err(wrong(text, message))
            }
            other => Err(wrong(other, format!("expected a name: write `{key} = the_name`"))),
        }
    }
}

/// The path of a type.
#[derive(Clone, Debug)]
pub(crate) struct TypeName(Path);

impl TypeName {
    /// The last segment: the type's own name.
    pub(crate) fn name(&self) -> String {
        self.0.segments.last().map(|segment| segment.ident.unraw().to_string()).unwrap_or_default()
    }
}

impl FromMeta for TypeName {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        let key = meta.path().to_token_stream();
        match value(meta, "the name of a type")? {
            Expr::Path(path) if path.qself.is_none() => Ok(Self(path.path.clone())),
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
                let message = format!(
                    "expected the name of a type, found a string: write `{key} = {}` without quotes",
                    text.value()
                );
                Err(wrong(text, message))
            }
            Expr::Tuple(nothing) if nothing.elems.is_empty() && meta.path().is_ident("of") => {
                let message = format!(
                    "expected the name of a type: write `{key} = …`; what there is once, on no object, is the data of a \
                     state, `type Data = …`"
                );
                Err(wrong(nothing, message))
            }
            other => Err(wrong(other, format!("expected the name of a type: write `{key} = …`"))),
        }
    }

    fn from_invalid_expr(meta: &darling::ast::MetaNameValueInvalidExpr) -> darling::Result<Self> {
        let key = meta.path.to_token_stream();
        Err(wrong(&meta.value, format!("expected the name of a type: write `{key} = …`")))
    }
}

impl ToTokens for TypeName {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}
