//! Places in Rust sources, named by what stands there, so that neither formatting nor a change nearby moves them.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use cargo_klp::error::{Error, Result};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, ExprBinary, ExprCall, ExprMethodCall, ExprStruct, Ident, ImplItem, Item, Type};

use crate::altered::read_text;
use crate::host::entries;

/// A part of an item, such as "the call of `rev` in `Engine::take_back`".
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The item: a function `f`, a method `Type::f`, a constant or a structure.
    pub(crate) item: &'static str,
    /// What in it. It must be the only one.
    pub(crate) part: Part,
}

/// What stands at a [`Place`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// The call of the function or method of this name.
    Call(&'static str),
    /// The first of several such calls.
    FirstCall(&'static str),
    /// The comparison by this operator that has this name on one of its sides.
    Comparison(&'static str, &'static str),
    /// The value of the constant.
    Value,
    /// The last field of the structure, or of the structure that the function makes.
    LastField,
}

/// What is done at a [`Place`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// Something else stands there.
    To(&'static str),
    /// This follows.
    Then(&'static str),
    /// The function that is called, or the operator, is this one.
    Name(&'static str),
    /// The method is not called: what it is called on stands there.
    Skip,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Call(name) => write!(formatter, "the call of `{name}`"),
            Part::FirstCall(name) => write!(formatter, "the first call of `{name}`"),
            Part::Comparison(name, operator) => {
                write!(formatter, "the comparison `{operator}` with `{name}`")
            }
            Part::Value => write!(formatter, "the value"),
            Part::LastField => write!(formatter, "the last field"),
        }?;
        write!(formatter, " in `{}`", self.item)
    }
}

impl Place {
    /// The file of a directory, or below it, that has the item.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where none has it.
    pub(crate) fn file(&self, directory: &Path) -> Result<PathBuf> {
        let mut rest = entries(directory)?;
        while let Some(path) = rest.pop() {
            if path.is_dir() {
                rest.extend(entries(&path)?);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && self.spots(&read_text(&path)?).is_some()
            {
                return Ok(path);
            }
        }
        Err(self.error(&format!("`{}` is in no file of {}", self.item, directory.display())))
    }

    /// The text of the file that has the item, with the change.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where the item has no such part, or several.
    pub(crate) fn change(&self, text: &str, change: Change) -> Result<String> {
        let spots = self.spots(text).unwrap_or_default();
        let spot = match &*spots {
            [spot] => spot,
            [spot, ..] if matches!(self.part, Part::FirstCall(_)) => spot,
            _ => return Err(self.error(&format!("expected it once, found it {} times", spots.len()))),
        };
        let (range, new) = match change {
            Change::To(new) => (spot.whole.clone(), new),
            Change::Then(new) => (spot.whole.end..spot.whole.end, new),
            Change::Name(new) => (spot.name.clone(), new),
            Change::Skip => (spot.whole.clone(), &text[spot.receiver.clone()]),
        };
        let mut changed = text.to_owned();
        changed.replace_range(range, new);
        Ok(changed)
    }

    /// Where the part stands, if the text has the item.
    fn spots(&self, text: &str) -> Option<Vec<Spot>> {
        let file = syn::parse_file(text).expect("the sources are Rust");
        let mut parts = Parts { part: self.part, found: Vec::new() };
        file.items.iter().any(|item| parts.of_item(item, self.item)).then_some(parts.found)
    }

    fn error(&self, why: &str) -> Error {
        Error::Request {
            message: format!("nothing can be altered at {self}: {why}"),
            help: "name the place as the sources have it now, in tests/kernel/mutants.rs or altered.rs"
                .into(),
        }
    }
}

/// Where a part stands, in bytes.
struct Spot {
    whole: Range<usize>,
    /// The name of what is called, or the operator.
    name: Range<usize>,
    /// What a method is called on.
    receiver: Range<usize>,
}

impl Spot {
    fn of(whole: &impl Spanned, name: &impl Spanned, receiver: &impl Spanned) -> Self {
        let [whole, name, receiver] =
            [whole.span(), name.span(), receiver.span()].map(|span| span.byte_range());
        Self { whole, name, receiver }
    }
}

/// Looks for a part in an item.
struct Parts {
    part: Part,
    found: Vec<Spot>,
}

impl Parts {
    /// Whether an item, or one in an `impl`, has this path; then its parts are found.
    fn of_item(&mut self, item: &Item, path: &str) -> bool {
        match item {
            Item::Fn(function) if function.sig.ident == path => self.visit_item_fn(function),
            Item::Const(constant) if constant.ident == path => {
                if matches!(self.part, Part::Value) {
                    self.found.push(Spot::of(&constant.expr, &constant.expr, &constant.expr));
                }
            }
            Item::Struct(structure) if structure.ident == path => {
                if let (Part::LastField, Some(field)) = (self.part, structure.fields.iter().last()) {
                    self.found.push(Spot::of(field, field, field));
                }
            }
            Item::Impl(block) => {
                let Some((of, method)) = path.split_once("::") else { return false };
                let Type::Path(this) = &*block.self_ty else { return false };
                let is_method = |item: &&ImplItem| matches!(item, ImplItem::Fn(f) if f.sig.ident == method);
                let is_type = this.path.segments.last().is_some_and(|name| name.ident == of);
                let Some(item) = block.items.iter().find(is_method).filter(|_| is_type) else { return false };
                self.visit_impl_item(item);
            }
            _ => return false,
        }
        true
    }

    fn is_call_of(&self, called: &Ident) -> bool {
        matches!(self.part, Part::Call(name) | Part::FirstCall(name) if called == name)
    }
}

impl Visit<'_> for Parts {
    fn visit_expr_method_call(&mut self, call: &ExprMethodCall) {
        // In the order of the source: what is called on comes first.
        visit::visit_expr_method_call(self, call);
        if self.is_call_of(&call.method) {
            self.found.push(Spot::of(call, &call.method, &call.receiver));
        }
    }

    fn visit_expr_call(&mut self, call: &ExprCall) {
        if let Expr::Path(function) = &*call.func
            && let Some(name) = function.path.segments.last()
            && self.is_call_of(&name.ident)
        {
            self.found.push(Spot::of(call, &name.ident, call));
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_binary(&mut self, comparison: &ExprBinary) {
        if let Part::Comparison(name, operator) = self.part
            && comparison_operator(&comparison.op) == Some(operator)
            && mentions(comparison, name)
        {
            self.found.push(Spot::of(comparison, &comparison.op, comparison));
        }
        visit::visit_expr_binary(self, comparison);
    }

    fn visit_expr_struct(&mut self, literal: &ExprStruct) {
        if let (Part::LastField, Some(field)) = (self.part, literal.fields.last()) {
            self.found.push(Spot::of(field, field, field));
        }
        visit::visit_expr_struct(self, literal);
    }
}

/// How the operator of a comparison is written.
fn comparison_operator(operator: &BinOp) -> Option<&'static str> {
    Some(match operator {
        BinOp::Eq(_) => "==",
        BinOp::Ne(_) => "!=",
        BinOp::Lt(_) => "<",
        BinOp::Le(_) => "<=",
        BinOp::Gt(_) => ">",
        BinOp::Ge(_) => ">=",
        _ => return None,
    })
}

/// Whether a name stands in an expression.
fn mentions(expression: &ExprBinary, name: &'static str) -> bool {
    struct Mentions(&'static str, bool);
    impl Visit<'_> for Mentions {
        fn visit_ident(&mut self, ident: &Ident) {
            self.1 |= ident == self.0;
        }
    }
    let mut mentions = Mentions(name, false);
    mentions.visit_expr_binary(expression);
    mentions.1
}
