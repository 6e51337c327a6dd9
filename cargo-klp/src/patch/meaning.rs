//! What a kernel has under a name beside symbols: types, constants, system calls, and what its headers define.

use klp_btf::{Layout, Types};
use klp_format::Syscalls;
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
    /// A system call.
    SystemCall(SystemCall),
    /// What a header defines.
    Header(Definition),
    /// What `klp_runtime` has in its place.
    Runtime(String),
}

/// A system call of the kernel.
#[derive(Debug, Serialize)]
pub struct SystemCall {
    /// The kernel's functions for it: of 64-bit programs, then of 32-bit ones.
    pub entries: Vec<String>,
    /// The attribute that redirects them all.
    pub attribute: String,
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
    meanings.extend(system_call(info, name).map(Meaning::SystemCall));
    if !has_symbol {
        meanings.extend(definition(&kernel.kdir, kernel.arch(), name).map(Meaning::Header));
        meanings.extend(wrapper(name).map(Meaning::Runtime));
    }
    Ok(meanings)
}

/// What the kernel puts before the name of a system call.
const PREFIXES: [&str; 12] = [
    "__arm64_sys_",
    "__arm64_compat_sys_",
    "__x64_sys_",
    "__ia32_sys_",
    "__do_sys_",
    "__se_sys_",
    "sys_",
    "__x64_compat_sys_",
    "__ia32_compat_sys_",
    "__do_compat_sys_",
    "__se_compat_sys_",
    "compat_sys_",
];

/// System calls that programs and the kernel name differently (`arch/x86/entry/syscalls/syscall_64.tbl`).
const NAMED_OTHERWISE: [(&str, &str); 6] = [
    ("stat", "newstat"),
    ("fstat", "newfstat"),
    ("lstat", "newlstat"),
    ("sendfile", "sendfile64"),
    ("uname", "newuname"),
    ("umount2", "umount"),
];

/// The system call that has a name: the one that programs use, or the kernel's, with one of its prefixes or without.
pub(super) fn system_call(info: &ObjectInfo<'_>, name: &str) -> Option<SystemCall> {
    let of_programs = NAMED_OTHERWISE.iter().find(|(of_programs, _)| *of_programs == name);
    if let Some(found) = of_programs.and_then(|(_, kernels)| system_call(info, kernels)) {
        return Some(found);
    }
    let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let entry = |name: String| (!info.object.named(&name).is_empty()).then_some(name);
    let native = |wrappers: &Syscalls| Some((*wrappers, entry(format!("{}sys_{name}", wrappers.native))?));
    let (wrappers, native) = Syscalls::ALL.iter().find_map(native)?;
    // Where 32-bit programs have an entry of their own, it is the one in their table.
    let own = entry(format!("{}compat_sys_{name}", wrappers.compat));
    let (compat, key) = match own {
        Some(own) => (Some(own), format!(", compat = \"compat_sys_{name}\"")),
        None => match entry(format!("{}sys_{name}", wrappers.compat)).filter(|shared| *shared != native) {
            Some(shared) => (Some(shared), ", compat".to_owned()),
            None => (None, String::new()),
        },
    };
    let attribute = format!("#[klp_syscall(name = \"{name}\"{key})]");
    Some(SystemCall { entries: std::iter::once(native).chain(compat).collect(), attribute })
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
