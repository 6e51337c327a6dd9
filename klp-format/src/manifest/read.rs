//! The one reader of lines.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::iter::Peekable;
use core::str::Split;

use super::Line;
use super::columns::{Columns, Visitor};
use super::text::Text;

/// A line that is not one of a manifest, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    line: String,
    fault: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the line {:?}", self.fault, self.line)
    }
}

impl Error for BadLine {}

/// Reads a line.
///
/// # Errors
///
/// If the line is of no known kind, lacks a column or has one too many, or if a column does not
/// hold what belongs there.
pub fn read(line: &str) -> Result<Line, BadLine> {
    let mut columns = line.split('\t').peekable();
    let kind = columns.next().unwrap_or_default();
    let mut reader = Reader { kind, columns };
    let read = match kind {
        "patch" => reader.line().map(Line::Patch),
        "func" => reader.line().map(Line::Func),
        "state" => reader.line().map(Line::State),
        "shadow" => reader.line().map(Line::Shadow),
        "object" => reader.line().map(Line::Object),
        "native" => reader.line().map(Line::Native),
        "hook" => reader.line().map(Line::Hook),
        "param" => reader.line().map(Line::Param),
        "symbol" => reader.line().map(Line::Symbol),
        "binding" => reader.line().map(Line::Binding),
        "c_struct" => reader.line().map(Line::CStruct),
        "c_func" => reader.line().map(Line::CFunc),
        "c_type" => reader.line().map(Line::CType),
        "wrapper" => reader.line().map(Line::Wrapper),
        "headers" => reader.line().map(Line::Headers),
        "fix" => reader.line().map(Line::Fix),
        "kernel" => reader.line().map(Line::Kernel),
        _ => Err(format!("unknown kind of line `{kind}`")),
    };
    read.map_err(|fault| BadLine { line: line.to_owned(), fault })
}

struct Reader<'a> {
    kind: &'a str,
    columns: Peekable<Split<'a, char>>,
}

impl Reader<'_> {
    fn line<T: Default + Columns<u64>>(&mut self) -> Result<T, String> {
        let mut line = T::default();
        line.visit(self)?;
        match self.columns.next() {
            None => Ok(line),
            Some(extra) => Err(format!("expected the end of `{}`, found `{extra}`", self.kind)),
        }
    }

    fn column<T>(
        &mut self,
        column: &str,
        expected: &str,
        value: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, String> {
        let Some(text) = self.columns.next() else {
            return Err(format!("column `{column}` of `{}` is missing", self.kind));
        };
        value(text).ok_or_else(|| {
            format!("expected {expected} in column `{column}` of `{}`, found `{text}`", self.kind)
        })
    }
}

impl Visitor<u64> for Reader<'_> {
    type Error = String;

    fn text<T: Text>(&mut self, column: &'static str, value: &mut T) -> Result<(), String> {
        *value = self.column(column, T::EXPECTED, T::from_text)?;
        Ok(())
    }

    fn number_of(
        &mut self,
        column: &'static str,
        value: &mut u64,
        expected: &'static str,
        check: fn(u64) -> bool,
    ) -> Result<(), String> {
        let number = |text: &str| text.parse().ok().filter(|&number| check(number));
        *value = self.column(column, expected, number)?;
        Ok(())
    }

    fn rest<T: Default + Columns<u64>>(&mut self, values: &mut Vec<T>) -> Result<(), String> {
        while self.columns.peek().is_some() {
            let mut value = T::default();
            value.visit(self)?;
            values.push(value);
        }
        Ok(())
    }
}
