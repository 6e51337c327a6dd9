//! What a type says of itself: its alignment, its name, its qualifiers.

use btf_rs::{BtfType, Type};

use crate::layout::Layout;
use crate::walk::{DEPTH, endless};
use crate::{Result, Types};

impl Types {
    /// The alignment of a type in bytes that follows from its contents: BTF has no other.
    pub fn align(&self, id: u32) -> Result<u64> {
        self.nested(id, || self.align_of(id))
    }

    fn align_of(&self, id: u32) -> Result<u64> {
        let bare = self.bare(id)?;
        Ok(match self.get(bare)? {
            Type::Array(array) => self.align(array.get_type_id().unwrap_or(0))?,
            Type::Struct(_) | Type::Union(_) => {
                let Some(Layout { size, fields, .. }) = self.layout(bare)? else { return Ok(1) };
                let mut align = 1;
                for field in fields.iter().filter(|field| field.bits.is_none()) {
                    let own = self.align(field.id)?;
                    // A field of a packed structure may be at an offset that its type alone would not allow.
                    if (field.offset / 8).is_multiple_of(own) && size.is_multiple_of(own) {
                        align = align.max(own);
                    }
                }
                align
            }
            _ => self.size_of(bare)?.max(1),
        })
    }

    /// The name of a structure or union: its own, or else the latest one that was given to it.
    pub(crate) fn called(&self, mut id: u32) -> Result<String> {
        let mut name = String::new();
        for _ in 0..DEPTH {
            let found = self.get(id)?;
            id = match &found {
                Type::Typedef(inner) => {
                    name = self.name(&found)?;
                    inner.get_type_id()
                }
                Type::Const(inner) | Type::Volatile(inner) | Type::Restrict(inner) => inner.get_type_id(),
                Type::TypeTag(inner) => inner.get_type_id(),
                _ => {
                    let own = self.name(&found)?;
                    return Ok(if own.is_empty() { name } else { own });
                }
            }
            .unwrap_or(0);
        }
        Err(endless(id))
    }

    /// Whether a type is qualified as `const`.
    pub(crate) fn is_const(&self, mut id: u32) -> Result<bool> {
        for _ in 0..DEPTH {
            id = match self.get(id)? {
                Type::Const(_) => return Ok(true),
                Type::Typedef(inner) => inner.get_type_id(),
                Type::Volatile(inner) | Type::Restrict(inner) => inner.get_type_id(),
                Type::TypeTag(inner) => inner.get_type_id(),
                _ => return Ok(false),
            }
            .unwrap_or(0);
        }
        Err(endless(id))
    }
}
