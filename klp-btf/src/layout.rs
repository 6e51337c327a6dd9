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
