//! Limits of a walk from a type to those that it is made of.
//!
//! No kernel's types reach them. Damaged BTF may refer in circles, or name more than anyone could write down.

use std::cell::Cell;

use btf_rs::{BtfType, Error, Type};

use crate::{Result, Types};

/// How many types one in another, as the kernel's verifier allows (`MAX_RESOLVE_DEPTH`).
pub(crate) const DEPTH: u32 = 32;

/// How many types, members and parameters are looked at for one that was asked for: at most 93,029 in Linux 6.12.
const WORK: usize = 1 << 19;

/// The names of types and members are shorter (`KSYM_NAME_LEN`).
const NAME_LENGTH: usize = 512;

/// How far a walk has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    depth: u32,
    work: usize,
}

/// The walk that goes on, if any.
#[derive(Debug, Default)]
pub(crate) struct Walk(Cell<Progress>);

impl Types {
    /// Looks at a type as a part of the one that is being looked at.
    pub(crate) fn nested<T>(&self, id: u32, look: impl FnOnce() -> Result<T>) -> Result<T> {
        let Progress { depth, work } = self.walk.0.get();
        if depth == DEPTH {
            return Err(endless(id));
        }
        self.walk.0.set(Progress { depth: depth + 1, work });
        let result = look();
        let work = if depth == 0 { 0 } else { self.walk.0.get().work };
        self.walk.0.set(Progress { depth, work });
        result
    }

    /// The type of a number.
    pub(crate) fn get(&self, id: u32) -> Result<Type> {
        let found = self.btf.resolve_type_by_id(id)?;
        let Progress { depth, work } = self.walk.0.get();
        if depth > 0 {
            if work > WORK {
                return Err(Error::Format(format!("type {id} is a part of more than {WORK} parts")));
            }
            self.walk.0.set(Progress { depth, work: work + 1 + parts(&found) });
        }
        Ok(found)
    }

    /// The name of a type, a member, a parameter or an enumerator.
    pub(crate) fn text(&self, named: &dyn BtfType) -> Result<String> {
        let name = self.btf.resolve_name(named)?;
        if name.len() >= NAME_LENGTH {
            let start = name.chars().take(20).collect::<String>();
            return Err(Error::Format(format!("a name of {} bytes, `{start}…`", name.len())));
        }
        Ok(name)
    }
}

/// The error for a type that never comes to an end.
pub(crate) fn endless(id: u32) -> Error {
    Error::Format(format!("type {id} stands {DEPTH} types deep in another one, or in itself"))
}

/// How many parts a type has by itself.
fn parts(found: &Type) -> usize {
    match found {
        Type::Struct(found) | Type::Union(found) => found.members.len(),
        Type::Enum(found) => found.members.len(),
        Type::Enum64(found) => found.members.len(),
        Type::FuncProto(found) => found.parameters.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::Writer;

    const PTR: u32 = 2;
    const ARRAY: u32 = 3;
    const STRUCT: u32 = 4;
    const TYPEDEF: u32 = 8;
    const FUNC_PROTO: u32 = 13;

    /// A type of BTF: its kind, its number of parts, its size or the type that it refers to, and what follows.
    fn typ(kind: u32, parts: u32, size: u32, rest: &[u32]) -> Vec<u32> {
        [&[0, kind << 24 | parts, size], rest].concat()
    }

    /// These types, numbered from 1. All names are empty but that at 1.
    fn types(all: &[Vec<u32>], name: &str) -> Types {
        let bytes: Vec<u8> = all.concat().into_iter().flat_map(u32::to_le_bytes).collect();
        let text = format!("\0{name}\0");
        let header = [0x0001_eb9f, 24, 0, bytes.len() as u32, bytes.len() as u32, text.len() as u32];
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for number in header {
            file.write_all(&number.to_le_bytes()).unwrap();
        }
        file.write_all(&bytes).and_then(|()| file.write_all(text.as_bytes())).unwrap();
        Types::open(file.path()).unwrap()
    }

    #[track_caller]
    fn refuses_all(types: &Types, id: u32, text: &str) {
        let mut writer = Writer::new(types, "", [], "");
        let results = [
            types.align(id).map(drop),
            types.size_of(id).map(drop),
            types.c_declaration(id, "x").map(drop),
            writer.value(id).map(drop),
            types.fields(id).map(drop),
        ];
        let errors: Vec<_> =
            results.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
        assert!(!errors.is_empty() && errors.iter().all(|error| error.contains(text)), "{errors:?}");
    }

    #[test]
    fn a_type_that_is_made_of_itself() {
        refuses_all(&types(&[typ(TYPEDEF, 0, 1, &[])], ""), 1, "in itself");
        refuses_all(&types(&[typ(ARRAY, 0, 0, &[1, 1, 2])], ""), 1, "in itself");
        refuses_all(&types(&[typ(STRUCT, 1, 8, &[0, 1, 0])], ""), 1, "in itself");
        refuses_all(&types(&[typ(PTR, 0, 1, &[])], ""), 1, "in itself");
        refuses_all(&types(&[typ(PTR, 0, 2, &[]), typ(FUNC_PROTO, 1, 0, &[0, 1])], ""), 1, "in itself");
    }

    /// Twenty types, each with two of the next one: together a million.
    #[test]
    fn a_type_of_too_many_parts() {
        let twice = |id: u32| typ(STRUCT, 2, 8, &[0, id + 1, 0, 0, id + 1, 32]);
        let mut all: Vec<_> = (1..=20).map(twice).collect();
        all.push(typ(STRUCT, 0, 4, &[]));
        refuses_all(&types(&all, ""), 1, "more than 524288 parts");
        // The next walk starts anew.
        assert!(types(&all, "").align(18).is_ok());
    }

    #[test]
    fn a_size_that_no_kernel_has() {
        let array = |element: u32| typ(ARRAY, 0, 0, &[element, element, 0x1_0000]);
        let all = [typ(1, 0, 4, &[32]), array(1), array(2), array(3)];
        refuses_all(&types(&all, ""), 4, "too large");
        assert_eq!(types(&all, "").size_of(2).unwrap(), 0x4_0000);
    }

    #[test]
    fn a_name_that_no_kernel_has() {
        let all = [typ(STRUCT, 1, 4, &[1, 0, 0])];
        assert!(types(&all, "a").layout(1).is_ok());
        let error = types(&all, &"a".repeat(600)).layout(1).unwrap_err();
        assert_eq!(error.to_string(), format!("a name of 600 bytes, `{}…`", "a".repeat(20)));
    }
}
