//! The columns of each line, in their order.

use alloc::vec::Vec;

use super::text::Text;
use super::{
    Binding, CField, CFunc, CStruct, CType, Fix, Func, Headers, Hook, Kernel, Native, Object, Param, Passed,
    Patch, Shadow, State, Symbol, Wrapper,
};
use crate::{Class, ParamKind};

/// Goes over the columns of a line: the writer takes the values out, the reader puts them in.
pub(super) trait Visitor<N> {
    /// Why a visit ends early.
    type Error;

    /// A column that is a text or a word.
    fn text<T: Text>(&mut self, column: &'static str, value: &mut T) -> Result<(), Self::Error>;

    /// A column that is a number, which `check` takes; otherwise the reader expected `expected`.
    fn number_of(
        &mut self,
        column: &'static str,
        value: &mut N,
        expected: &'static str,
        check: fn(u64) -> bool,
    ) -> Result<(), Self::Error>;

    /// Any number of groups of columns, up to the end of the line.
    fn rest<T: Default + Columns<N>>(&mut self, values: &mut Vec<T>) -> Result<(), Self::Error>;

    /// A column that is any number.
    fn number(&mut self, column: &'static str, value: &mut N) -> Result<(), Self::Error> {
        self.number_of(column, value, "a number", |_| true)
    }

    /// A column that is a number of 32 bits.
    fn word(&mut self, column: &'static str, value: &mut N) -> Result<(), Self::Error> {
        self.number_of(column, value, "a number of 32 bits", |number| u32::try_from(number).is_ok())
    }
}

/// The columns of a line, in their order.
pub(super) trait Columns<N> {
    /// Visits them.
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error>;
}

impl<N> Columns<N> for Patch<N> {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("crate", &mut self.krate)?;
        visitor.number_of("replace", &mut self.replace, "0 or 1", |number| number <= 1)?;
        visitor.text("enable", &mut self.enable)?;
        visitor.word("abi_version", &mut self.abi_version)?;
        visitor.text("series", &mut self.series)?;
        visitor.number("revision", &mut self.revision)?;
        self.entry_sizes.iter_mut().try_for_each(|size| visitor.number("entry_size", size))
    }
}

impl<N: Default> Columns<N> for Func<N> {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("object", &mut self.object)?;
        visitor.text("symbol", &mut self.symbol)?;
        visitor.number("sympos", &mut self.sympos)?;
        visitor.text("c_body", &mut self.c_body)?;
        visitor.text("place", &mut self.place)?;
        visitor.rest(&mut self.signature)
    }
}

impl<N> Columns<N> for Passed<N> {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("place", &mut self.place)?;
        visitor.number_of("class", &mut self.class, "the number of a class", |number| {
            Class::decode(number).is_some()
        })
    }
}

impl<N> Columns<N> for State<N> {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.number("id", &mut self.id)?;
        visitor.word("version", &mut self.version)?;
        visitor.text("name", &mut self.name)?;
        visitor.word("flags", &mut self.flags)?;
        visitor.text("callbacks", &mut self.callbacks)
    }
}

impl<N> Columns<N> for Shadow<N> {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.number("id", &mut self.id)?;
        visitor.number("state", &mut self.state)?;
        visitor.text("name", &mut self.name)?;
        visitor.text("of", &mut self.of)?;
        visitor.text("sleepable", &mut self.sleepable)?;
        visitor.text("object", &mut self.object)?;
        visitor.text("place", &mut self.place)
    }
}

impl<N> Columns<N> for Object {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("name", &mut self.name)?;
        visitor.text("callbacks", &mut self.callbacks)
    }
}

impl<N> Columns<N> for Native<N> {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.number("id", &mut self.id)?;
        visitor.word("version", &mut self.version)
    }
}

impl<N> Columns<N> for Hook {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("hook", self)
    }
}

impl<N> Columns<N> for Param<N> {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("name", &mut self.name)?;
        visitor.number_of("kind", &mut self.kind, "the number of a type of parameters", |number| {
            ParamKind::from_number(number).is_some()
        })?;
        visitor.number("len", &mut self.len)?;
        visitor.word("permissions", &mut self.permissions)?;
        visitor.text("description", &mut self.description)
    }
}

impl<N> Columns<N> for Symbol<N> {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("object", &mut self.object)?;
        visitor.text("symbol", &mut self.symbol)?;
        visitor.number("sympos", &mut self.sympos)?;
        visitor.text("kind", &mut self.kind)?;
        visitor.text("name", &mut self.name)?;
        visitor.text("placeholder", &mut self.placeholder)?;
        visitor.text("place", &mut self.place)
    }
}

impl<N> Columns<N> for Binding {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("name", &mut self.name)?;
        visitor.text("object", &mut self.object)?;
        visitor.text("btf", &mut self.btf)
    }
}

impl<N: Default> Columns<N> for CStruct<N> {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("name", &mut self.name)?;
        visitor.number("size", &mut self.size)?;
        visitor.rest(&mut self.fields)
    }
}

impl<N> Columns<N> for CField<N> {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("name", &mut self.name)?;
        visitor.text("c_type", &mut self.c_type)?;
        visitor.number("len", &mut self.len)?;
        visitor.number("offset", &mut self.offset)
    }
}

impl<N> Columns<N> for CFunc {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("name", &mut self.name)?;
        visitor.text("declaration", &mut self.declaration)
    }
}

impl<N> Columns<N> for CType {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("object", &mut self.object)?;
        visitor.text("name", &mut self.name)?;
        visitor.text("place", &mut self.place)
    }
}

impl<N> Columns<N> for Wrapper {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("symbol", &mut self.symbol)?;
        visitor.text("headers", &mut self.headers)?;
        visitor.text("text", &mut self.text)?;
        visitor.text("place", &mut self.place)
    }
}

impl<N> Columns<N> for Headers {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("answer", &mut self.answer)
    }
}

impl<N> Columns<N> for Fix {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("name", &mut self.name)
    }
}

impl<N> Columns<N> for Kernel {
    fn visit<V: Visitor<N>>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        visitor.text("build_id", &mut self.build_id)
    }
}
