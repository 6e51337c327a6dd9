//! The one writer of lines.

use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::mem;

use super::Line;
use super::columns::{Columns, Visitor};
use super::text::Text;

/// One column of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column<N> {
    /// A text, without control characters.
    Text(String),
    /// A number.
    Number(N),
}

/// The columns of a line, the kind of the line first. A tab separates them.
pub fn write<N: Default>(line: Line<N>) -> Vec<Column<N>> {
    let mut writer = Writer(Vec::new());
    match line {
        Line::Patch(mut line) => writer.line("patch", &mut line),
        Line::Func(mut line) => writer.line("func", &mut line),
        Line::State(mut line) => writer.line("state", &mut line),
        Line::Shadow(mut line) => writer.line("shadow", &mut line),
        Line::Object(mut line) => writer.line("object", &mut line),
        Line::Native(mut line) => writer.line("native", &mut line),
        Line::Hook(mut line) => writer.line("hook", &mut line),
        Line::Param(mut line) => writer.line("param", &mut line),
        Line::Symbol(mut line) => writer.line("symbol", &mut line),
        Line::Binding(mut line) => writer.line("binding", &mut line),
        Line::CStruct(mut line) => writer.line("c_struct", &mut line),
        Line::CFunc(mut line) => writer.line("c_func", &mut line),
        Line::CType(mut line) => writer.line("c_type", &mut line),
        Line::Wrapper(mut line) => writer.line("wrapper", &mut line),
        Line::Headers(mut line) => writer.line("headers", &mut line),
        Line::Fix(mut line) => writer.line("fix", &mut line),
        Line::Kernel(mut line) => writer.line("kernel", &mut line),
    }
    writer.0
}

struct Writer<N>(Vec<Column<N>>);

impl<N: Default> Writer<N> {
    fn line(&mut self, kind: &str, line: &mut impl Columns<N>) {
        self.push(kind);
        let Ok(()) = line.visit(self);
    }

    fn push(&mut self, text: &str) {
        let one_line = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        self.0.push(Column::Text(one_line.collect()));
    }
}

impl<N: Default> Visitor<N> for Writer<N> {
    type Error = Infallible;

    fn text<T: Text>(&mut self, _column: &'static str, value: &mut T) -> Result<(), Infallible> {
        self.push(&value.to_text());
        Ok(())
    }

    fn number_of(
        &mut self,
        _column: &'static str,
        value: &mut N,
        _expected: &'static str,
        _check: fn(u64) -> bool,
    ) -> Result<(), Infallible> {
        self.0.push(Column::Number(mem::take(value)));
        Ok(())
    }

    fn rest<T: Default + Columns<N>>(&mut self, values: &mut Vec<T>) -> Result<(), Infallible> {
        values.iter_mut().try_for_each(|value| value.visit(self))
    }
}
