//! Reads a kernel's BTF for livepatches: prototypes of functions and layouts of types, in C for people
//! and in Rust for patches.

mod c;
mod layout;
mod names;
mod qualities;
mod rust;
mod rust_text;
mod walk;

use std::path::Path;

use btf_rs::{Backend, Btf, BtfType, FuncProto, Type};
use klp_format::{Class, ClassKind};

pub use btf_rs::Error;
pub use layout::{Field, Layout, PointerKind};
pub use names::identifier;
pub use rust::{Signature, Writer};
use walk::{DEPTH, Walk, endless};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kernel types that `klp_runtime::types` declares and the prelude exports.
pub const RUNTIME_TYPES: [&str; 8] =
    ["device", "file", "inode", "module", "net_device", "seq_file", "sk_buff", "task_struct"];

/// The kernel types that functions of the runtime take, and what `klp_runtime::types` calls them: a declaration of one
/// implements `klp_runtime::types::Is`.
pub(crate) const TAKEN_TYPES: [(&str, &str); 22] = [
    ("atomic64_t", "atomic64_t"),
    ("atomic_t", "atomic_t"),
    ("callback_head", "callback_head"),
    ("device", "device"),
    ("hlist_head", "hlist_head"),
    ("hlist_node", "hlist_node"),
    ("hlist_nulls_head", "hlist_nulls_head"),
    ("hlist_nulls_node", "hlist_nulls_node"),
    ("kref", "kref"),
    ("list_head", "list_head"),
    ("mutex", "mutex"),
    ("net_device", "net_device"),
    ("raw_spinlock", "raw_spinlock"),
    ("refcount_struct", "refcount_struct"),
    ("rw_semaphore", "rw_semaphore"),
    // Its structure has a name of its own in 7.x.
    ("rwlock", "rwlock_t"),
    ("rwlock_t", "rwlock_t"),
    ("sock", "sock"),
    ("spinlock", "spinlock"),
    ("static_key", "static_key"),
    ("static_key_false", "static_key"),
    ("static_key_true", "static_key"),
];

/// The types of a kernel, or of a module on top of those of its kernel.
pub struct Types {
    btf: Btf,
    walk: Walk,
}

/// The prototype of a function.
#[derive(Clone, Debug)]
pub struct Prototype {
    /// The function's name.
    pub name: String,
    /// The number of its return type.
    pub returns: u32,
    /// Its parameters: names, which may be empty, and the numbers of their types.
    pub parameters: Vec<(String, u32)>,
    /// Whether more arguments may follow.
    pub is_variadic: bool,
}

impl Types {
    fn new(btf: Btf) -> Self {
        Self { btf, walk: Walk::default() }
    }

    /// Opens a file that contains BTF and nothing else. Only the parts that are needed are read.
    pub fn open(file: &Path) -> Result<Self> {
        Ok(Self::new(Btf::from_file_with_backend(file, Backend::Mmap)?))
    }

    /// Reads BTF that continues no other.
    pub fn of_bytes(data: &[u8]) -> Result<Self> {
        Ok(Self::new(Btf::from_bytes(data)?))
    }

    /// The types of a module, whose BTF continues that of its kernel.
    pub fn module(&self, data: &[u8]) -> Result<Self> {
        Ok(Self::new(Btf::from_split_bytes(data, &self.btf)?))
    }

    /// As [`module`](Self::module), for a file that contains BTF and nothing else.
    pub fn open_module(&self, file: &Path) -> Result<Self> {
        Ok(Self::new(Btf::from_split_file(file, &self.btf)?))
    }

    /// The prototypes of all functions with a name; for a module, only its own.
    ///
    /// BTF leaves out most functions that the compiler has changed, so there may be none.
    pub fn prototypes(&self, name: &str) -> Result<Vec<Prototype>> {
        let section = self.btf.split().unwrap_or_else(|| self.btf.base());
        let functions = section.resolve_types_by_name(name)?;
        functions.iter().filter_map(|found| self.prototype(name, found).transpose()).collect()
    }

    /// All functions with their prototypes; for a module, only its own.
    pub fn functions(&self) -> Result<Vec<Prototype>> {
        let section = self.btf.split().unwrap_or_else(|| self.btf.base());
        let (first, last) = section.type_id_range();
        let mut functions = Vec::new();
        for id in first..=last {
            if let function @ Type::Func(_) = self.get(id)? {
                functions.extend(self.prototype(&self.name(&function)?, &function)?);
            }
        }
        Ok(functions)
    }

    /// All structures and unions with a name and members, with the numbers of their types; for a module, only its own.
    pub fn structures(&self) -> Result<Vec<(String, u32)>> {
        let section = self.btf.split().unwrap_or_else(|| self.btf.base());
        let (first, last) = section.type_id_range();
        let mut structures = Vec::new();
        for id in first..=last {
            if let found @ (Type::Struct(_) | Type::Union(_)) = self.get(id)? {
                let name = self.name(&found)?;
                if !name.is_empty() {
                    structures.push((name, id));
                }
            }
        }
        Ok(structures)
    }

    /// The number of the structure, union or enumeration with a name, or else of another type; for a module, its own
    /// type comes before that of its kernel.
    pub fn find(&self, name: &str) -> Result<Option<u32>> {
        let mut other = None;
        for id in self.btf.resolve_ids_by_name(name)? {
            match self.get(id)? {
                Type::Struct(_) | Type::Union(_) | Type::Enum(_) | Type::Enum64(_) => return Ok(Some(id)),
                Type::Typedef(_) | Type::Int(_) => other = other.or(Some(id)),
                _ => {}
            }
        }
        Ok(other)
    }

    /// The enumerators of an enumeration, with their values; `None` for other types.
    pub fn enumerators(&self, id: u32) -> Result<Option<Vec<(String, i128)>>> {
        let found = self.get(self.bare(id)?)?;
        let mut all = Vec::new();
        match &found {
            Type::Enum(list) => {
                for member in &list.members {
                    let value = member.val();
                    let value = if list.is_signed() { (value as i32).into() } else { value.into() };
                    all.push((self.text(member)?, value));
                }
            }
            Type::Enum64(list) => {
                for member in &list.members {
                    let value = member.val();
                    let value = if list.is_signed() { (value as i64).into() } else { value.into() };
                    all.push((self.text(member)?, value));
                }
            }
            _ => return Ok(None),
        }
        Ok(Some(all))
    }

    /// The enumeration with an enumerator, and the value; for a module, its own comes before that of its kernel.
    pub fn enumerator(&self, name: &str) -> Result<Option<(u32, i128)>> {
        let sections = self.btf.split().into_iter().chain([self.btf.base()]);
        for id in sections.map(btf_rs::BtfSection::type_id_range).flat_map(|(first, last)| first..=last) {
            if let Some((_, value)) =
                self.enumerators_of(id)?.into_iter().flatten().find(|(found, _)| found == name)
            {
                return Ok(Some((id, value)));
            }
        }
        Ok(None)
    }

    /// As [`enumerators`](Self::enumerators), but not for names of enumerations.
    fn enumerators_of(&self, id: u32) -> Result<Option<Vec<(String, i128)>>> {
        match self.get(id)? {
            Type::Enum(_) | Type::Enum64(_) => self.enumerators(id),
            _ => Ok(None),
        }
    }

    /// The type of a variable.
    pub fn variable(&self, name: &str) -> Result<Option<u32>> {
        for id in self.btf.resolve_ids_by_name(name)? {
            if let Type::Var(variable) = self.get(id)? {
                return Ok(variable.get_type_id());
            }
        }
        // What pahole makes has few variables: a function's parameter points to the type.
        let functions = self.prototypes(name)?;
        let Some((_, id)) = functions.first().and_then(|function| function.parameters.first()) else {
            return Ok(None);
        };
        match self.get(self.bare(*id)?)? {
            Type::Ptr(pointer) => Ok(pointer.get_type_id()),
            _ => Ok(None),
        }
    }

    /// The prototype of the function that a pointer points to, under this name; `None` for other types.
    pub fn pointed_prototype(&self, id: u32, name: &str) -> Result<Option<Prototype>> {
        let Type::Ptr(pointer) = self.get(self.bare(id)?)? else { return Ok(None) };
        match self.get(self.bare(pointer.get_type_id().unwrap_or(0))?)? {
            Type::FuncProto(found) => self.prototype_of(name, &found).map(Some),
            _ => Ok(None),
        }
    }

    fn prototype(&self, name: &str, found: &Type) -> Result<Option<Prototype>> {
        let Type::Func(function) = found else { return Ok(None) };
        match self.target(function)? {
            Type::FuncProto(found) => self.prototype_of(name, &found).map(Some),
            _ => Ok(None),
        }
    }

    fn prototype_of(&self, name: &str, found: &FuncProto) -> Result<Prototype> {
        let FuncProto { parameters, .. } = found;
        let is_variadic = parameters.last().is_some_and(btf_rs::Parameter::is_variadic);
        let fixed = parameters.iter().filter(|parameter| !parameter.is_variadic());
        let parameters = fixed
            .map(|parameter| Ok((self.text(parameter)?, parameter.get_type_id().unwrap_or(0))))
            .collect::<Result<_>>()?;
        Ok(Prototype { name: name.into(), returns: found.return_type_id(), parameters, is_variadic })
    }

    /// The type that a type refers to.
    fn target(&self, referrer: &dyn BtfType) -> Result<Type> {
        self.get(referrer.get_type_id().unwrap_or(0))
    }

    /// The name of a type; empty if it has none.
    fn name(&self, named: &Type) -> Result<String> {
        match named.as_btf_type() {
            Some(named) if named.get_name_offset().is_some() => self.text(named),
            _ => Ok(String::new()),
        }
    }

    /// The number of the type behind names and qualifiers.
    fn bare(&self, mut id: u32) -> Result<u32> {
        for _ in 0..DEPTH {
            id = match self.get(id)? {
                Type::Typedef(inner) => inner.get_type_id(),
                Type::Const(inner) | Type::Volatile(inner) | Type::Restrict(inner) => inner.get_type_id(),
                Type::TypeTag(inner) => inner.get_type_id(),
                _ => return Ok(id),
            }
            .unwrap_or(0);
        }
        Err(endless(id))
    }

    /// The way to pass a value of a type.
    pub fn class(&self, id: u32) -> Result<Class> {
        let class = |kind, size: usize| Class::new(kind, size as u64);
        Ok(match self.get(self.bare(id)?)? {
            Type::Void => class(ClassKind::Void, 0),
            Type::Int(int) if int.is_bool() || self.text(&int)? == "_Bool" => {
                class(ClassKind::Bool, int.size())
            }
            Type::Int(int) if self.text(&int)? == "char" => class(ClassKind::Char, int.size()),
            Type::Int(int) if int.is_signed() => class(ClassKind::Signed, int.size()),
            Type::Int(int) => class(ClassKind::Unsigned, int.size()),
            Type::Enum(list) => class(ClassKind::Enum, list.size()),
            Type::Enum64(list) => class(ClassKind::Enum, list.size()),
            Type::Ptr(_) => class(ClassKind::Pointer, 8),
            Type::Float(float) => class(ClassKind::Float, float.size()),
            _ => class(ClassKind::Other, self.size(id)?),
        })
    }

    /// The size of a type in bytes; 0 if it is unknown.
    fn size(&self, id: u32) -> Result<usize> {
        Ok(match self.get(self.bare(id)?)? {
            Type::Int(int) => int.size(),
            Type::Enum(list) => list.size(),
            Type::Enum64(list) => list.size(),
            Type::Ptr(_) => 8,
            Type::Float(float) => float.size(),
            Type::Struct(structure) | Type::Union(structure) => structure.size(),
            Type::Array(array) => {
                let element = self.nested(id, || self.size(array.get_type_id().unwrap_or(0)))?;
                // The kernel's types have sizes of 32 bits.
                let size = array.len().checked_mul(element).filter(|&size| u32::try_from(size).is_ok());
                size.ok_or_else(|| Error::Format(format!("type {id} is too large")))?
            }
            _ => 0,
        })
    }
}
