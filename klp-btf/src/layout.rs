//! Where the fields of a structure are.

use btf_rs::{BtfType, Type};

use crate::{Result, Types};

/// A structure or a union.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The size in bytes.
    pub size: u64,
    /// Whether it is a union.
    pub is_union: bool,
    /// Its fields, in the order of the declaration.
    pub fields: Vec<Field>,
}

/// A field of a structure or a union.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name; empty where the fields of its type are named as if they stood here.
    pub name: String,
    /// Where it starts, in bits.
    pub offset: u64,
    /// How many bits it has, if it is a bit-field.
    pub bits: Option<u32>,
    /// The number of its type.
    pub id: u32,
    /// What an author says of the pointer that it is, where BTF does not.
    pub pointer: Option<PointerKind>,
}

/// What C says of a pointer for sparse: where it points to, or how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerKind {
    /// `__user`: into the memory of a process.
    User,
    /// `__percpu`: into each processor's own memory, as an offset.
    PerCpu,
    /// `__rcu`: replaced while others read it.
    Rcu,
}

impl PointerKind {
    /// The names in C.
    pub const NAMES: [(&str, Self); 3] =
        [("__user", Self::User), ("__percpu", Self::PerCpu), ("__rcu", Self::Rcu)];

    /// The one with a name in C.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// The Rust type of a pointer of this kind, from that of the plain one.
    pub(crate) fn rust(self, plain: &str) -> String {
        match self {
            Self::User => "::klp_runtime::uaccess::UserPtr".into(),
            Self::PerCpu => format!("::klp_runtime::percpu::PerCpuPtr<{plain}>"),
            Self::Rcu => format!("::klp_runtime::sync::rcu::Rcu<{plain}>"),
        }
    }
}

impl Types {
    /// The layout of a structure or union; `None` for other types.
    pub fn layout(&self, id: u32) -> Result<Option<Layout>> {
        let (structure, is_union) = match self.get(self.bare(id)?)? {
            Type::Struct(structure) => (structure, false),
            Type::Union(union) => (union, true),
            _ => return Ok(None),
        };
        let mut fields = Vec::new();
        for member in &structure.members {
            fields.push(Field {
                name: self.text(member)?,
                offset: member.bit_offset().into(),
                bits: member.bitfield_size().filter(|&bits| bits > 0),
                id: member.get_type_id().unwrap_or(0),
                pointer: None,
            });
        }
        Ok(Some(Layout { size: structure.size() as u64, is_union, fields }))
    }

    /// The fields that have a name in a structure, also by way of a part of it that has none.
    pub fn fields(&self, id: u32) -> Result<Vec<Field>> {
        let mut found = Vec::new();
        for field in self.layout(id)?.map_or_else(Vec::new, |layout| layout.fields) {
            if !field.name.is_empty() {
                found.push(field);
            } else if field.bits.is_none() {
                let inner = self.nested(id, || self.fields(field.id))?.into_iter();
                found.extend(inner.map(|inner| Field { offset: field.offset + inner.offset, ..inner }));
            }
        }
        Ok(found)
    }

    /// The size of a type in bytes.
    pub fn size_of(&self, id: u32) -> Result<u64> {
        Ok(self.size(id)? as u64)
    }
}
