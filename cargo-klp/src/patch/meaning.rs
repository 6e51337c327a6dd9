//! What a kernel has under a name beside symbols: types, constants, system calls, and what its headers define.

use klp_btf::{Layout, Types};
use serde::Serialize;

use super::check::ObjectInfo;
use super::vocabulary::wrapper;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::kernel::headers::{Definition, definition};

/// One meaning of a name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// A structure, union, enumeration or name of a type.
    Type {
        /// What C calls it.
        declaration: String,
        /// Its size in bytes.
        size: u64,
        /// Its fields or enumerators, in the order of the declaration.
        members: Vec<Member>,
    },
    /// A constant of an enumeration.
    Enumerator {
        /// What C calls the enumeration.
        of: String,
        /// The value.
        value: i128,
    },
    /// A system call, whose function in the kernel has this symbol.
    SystemCall(String),
    /// What a header defines.
    Header(Definition),
    /// What `klp_runtime` has in its place.
    Runtime(String),
}

/// A field or an enumerator.
#[derive(Debug, Serialize)]
pub struct Member {
    /// What C calls it.
    pub declaration: String,
    /// The offset in bytes, or the value.
    pub at: i128,
}

/// The meanings of a name in an object's types; with those that are none of types, where it has no symbol.
///
/// # Errors
///
/// The types can't be read.
pub fn meanings(
    kernel: &Kernel,
    info: &ObjectInfo<'_>,
    name: &str,
    has_symbol: bool,
) -> Result<Vec<Meaning>> {
    let mut meanings = Vec::new();
    if let Some(types) = &info.types {
        meanings.extend(of_types(types, name).map_err(Error::btf(&info.object.name))?);
    }
    if !has_symbol {
        meanings.extend(system_call(info, name).map(Meaning::SystemCall));
        meanings.extend(definition(&kernel.kdir, name).map(Meaning::Header));
        meanings.extend(wrapper(name).map(Meaning::Runtime));
    }
    Ok(meanings)
}

/// The symbol of a system call, which `klp_syscall` knows by the name without its prefix.
pub(super) fn system_call(info: &ObjectInfo<'_>, name: &str) -> Option<String> {
    let symbol = format!("__x64_sys_{name}");
    (!info.object.named(&symbol).is_empty()).then_some(symbol)
}

/// The type with a name, and the enumeration with such a constant.
fn of_types(types: &Types, name: &str) -> klp_btf::Result<Vec<Meaning>> {
    let mut meanings = Vec::new();
    if let Some(id) = types.find(name)? {
        let members = match types.enumerators(id)? {
            Some(enumerators) => {
                let member = |(declaration, at)| Member { declaration, at };
                enumerators.into_iter().map(member).collect()
            }
            None => fields(types, types.layout(id)?)?,
        };
        let declaration = types.c_declaration(id, "")?;
        meanings.push(Meaning::Type { declaration, size: types.size_of(id)?, members });
    }
    if let Some((id, value)) = types.enumerator(name)? {
        meanings.push(Meaning::Enumerator { of: types.c_declaration(id, "")?, value });
    }
    Ok(meanings)
}

fn fields(types: &Types, layout: Option<Layout>) -> klp_btf::Result<Vec<Member>> {
    let fields = layout.map(|layout| layout.fields).unwrap_or_default();
    let member = |field: klp_btf::Field| {
        let bits = field.bits.map(|bits| format!(" : {bits}")).unwrap_or_default();
        let declaration = format!("{}{bits}", types.c_declaration(field.id, &field.name)?);
        Ok(Member { declaration, at: (field.offset / 8).into() })
    };
    fields.into_iter().map(member).collect()
}
