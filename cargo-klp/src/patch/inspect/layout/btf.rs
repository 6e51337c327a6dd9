//! Layouts from a kernel's BTF.

use btf_rs::{Btf, Member, Type};

use super::{STRUCTS, Struct, Structs};
use crate::kernel::btf;

/// The livepatch structures in the BTF of a kernel.
///
/// The module's own section is of no use: it has only types that the kernel's BTF lacks.
pub fn structs(release: &str) -> Option<Structs> {
    let btf = btf::of_release(release)?;
    Some(STRUCTS.iter().filter_map(|name| Some((name.to_string(), structure(&btf, name)?))).collect())
}

fn structure(btf: &Btf, name: &str) -> Option<Struct> {
    let types = btf.resolve_types_by_name(name).ok()?;
    let structure = types.into_iter().find_map(|found| match found {
        Type::Struct(structure) => Some(structure),
        _ => None,
    })?;
    let field = |member: &Member| Some((btf.resolve_name(member).ok()?, u64::from(member.bit_offset() / 8)));
    Some(Struct {
        size: structure.size() as u64,
        fields: structure.members.iter().filter_map(field).collect(),
    })
}
