//! What a type says of itself: its alignment, its name, its qualifiers.

use btf_rs::{BtfType, Type};

use crate::layout::{Layout, PointerKind};
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
                    if (field.offset / 8) % own == 0 && size % own == 0 {
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

    /// What the target of a pointer says of the pointer: the kernel's compiler keeps it as a tag of the type, if it
    /// keeps it.
    pub(crate) fn pointer_kind(&self, mut target: u32) -> Result<Option<PointerKind>> {
        for _ in 0..DEPTH {
            let found = self.get(target)?;
            target = match &found {
                Type::TypeTag(inner) => {
                    if let Some(kind) = PointerKind::named(&format!("__{}", self.name(&found)?)) {
                        return Ok(Some(kind));
                    }
                    inner.get_type_id()
                }
                Type::Const(inner) | Type::Volatile(inner) | Type::Restrict(inner) => inner.get_type_id(),
                _ => return Ok(None),
            }
            .unwrap_or(0);
        }
        Err(endless(target))
    }

    /// Whether a type is a pointer.
    pub fn is_pointer(&self, id: u32) -> Result<bool> {
        Ok(matches!(self.get(self.bare(id)?)?, Type::Ptr(_)))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Types, Writer};

    /// `struct s { int __percpu *a; const int __rcu *b; void __user *c; int *d; }`, as clang makes BTF of it.
    fn tagged() -> Vec<u8> {
        let strings = b"\0int\0percpu\0rcu\0user\0s\0a\0b\0c\0d\0";
        let name = |wanted: &str| {
            let text = format!("\0{wanted}\0");
            strings.windows(text.len()).position(|found| found == text.as_bytes()).unwrap() as u32 + 1
        };
        const INT: u32 = 1 << 24;
        const PTR: u32 = 2 << 24;
        const STRUCT: u32 = 4 << 24;
        const CONST: u32 = 10 << 24;
        const TAG: u32 = 18 << 24;
        let types: Vec<u32> = [
            &[name("int"), INT, 4, 1 << 24 | 32][..],
            &[name("percpu"), TAG, 1],
            &[0, PTR, 2],
            &[0, CONST, 1],
            &[name("rcu"), TAG, 4],
            &[0, PTR, 5],
            &[name("user"), TAG, 0],
            &[0, PTR, 7],
            &[0, PTR, 1],
            &[name("s"), STRUCT | 4, 32],
            &[name("a"), 3, 0, name("b"), 6, 64, name("c"), 8, 128, name("d"), 9, 192],
        ]
        .concat();
        let len = types.len() as u32 * 4;
        let header = [0x0001_eb9f, 24, 0, len, len, strings.len() as u32];
        let words = header.iter().chain(&types).flat_map(|word| word.to_le_bytes());
        words.chain(strings.iter().copied()).collect()
    }

    #[test]
    fn pointers_are_of_the_kinds_that_tags_say() {
        let types = Types::of_bytes(&tagged()).unwrap();
        let id = types.find("s").unwrap().unwrap();
        let mut writer = Writer::new(&types, "::core::ffi::", [], "");
        writer.whole("s", id, "").unwrap();
        let text = writer.finish();
        for field in [
            "pub a: ::klp_runtime::percpu::PerCpuPtr<*mut ::core::ffi::c_int>,",
            "pub b: ::klp_runtime::sync::rcu::Rcu<*const ::core::ffi::c_int>,",
            "pub c: ::klp_runtime::uaccess::UserPtr,",
            "pub d: *mut ::core::ffi::c_int,",
        ] {
            assert!(text.contains(field), "{field}: {text}");
        }
        // Source that an author is to have names nothing of the runtime.
        let mut plain = Writer::new(&types, "", [], "");
        plain.whole("s", id, "").unwrap();
        assert!(plain.finish().contains("pub a: *mut c_int,"));
    }
}
