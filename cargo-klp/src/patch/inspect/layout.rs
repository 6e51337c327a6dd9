//! The layout of the kernel's livepatch structures, which differs from kernel to kernel.
//!
//! A module's own debug information has the layout that it was compiled with. Modules of a distribution are stripped
//! of it, but the BTF of their kernel has the same layout.

mod btf;
mod dwarf;

use std::collections::HashMap;

use crate::error::{Error, Result};

/// The names of the structures.
const STRUCTS: [&str; 5] = ["klp_patch", "klp_object", "klp_func", "klp_state", "klp_callbacks"];

/// The layout of all structures that a livepatch gives to the kernel; offsets and sizes are in bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    pub patch: Patch,
    pub object: Object,
    pub func: Func,
    /// Absent before Linux 5.4.
    pub state: Option<State>,
}

/// `struct klp_patch`.
#[derive(Debug, PartialEq, Eq)]
pub struct Patch {
    pub module: u64,
    pub objs: u64,
    /// Absent before Linux 5.4.
    pub states: Option<u64>,
    /// Absent before Linux 5.1.
    pub replace: Option<u64>,
}

/// `struct klp_object`.
#[derive(Debug, PartialEq, Eq)]
pub struct Object {
    pub name: u64,
    pub funcs: u64,
    /// The callbacks, each with its name.
    pub callbacks: Vec<(String, u64)>,
    pub size: u64,
}

/// `struct klp_func`.
#[derive(Debug, PartialEq, Eq)]
pub struct Func {
    pub old_name: u64,
    pub new_func: u64,
    /// Absent before Linux 4.5.
    pub old_sympos: Option<u64>,
    pub size: u64,
}

/// `struct klp_state`.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    pub id: u64,
    pub version: u64,
    pub size: u64,
}

/// A structure, as debug information describes it.
#[derive(Debug, Default)]
struct Struct {
    size: u64,
    /// Offsets of its fields.
    fields: HashMap<String, u64>,
}

/// Structures by their names.
type Structs = HashMap<String, Struct>;

impl Layout {
    /// Finds the layout for a module of the kernel `release`.
    ///
    /// # Errors
    ///
    /// Nothing on this machine has the layout.
    pub fn find(file: &object::File<'_>, release: Option<&str>) -> Result<Self> {
        let from_dwarf = || Self::new(&dwarf::structs(file)?);
        let from_btf = || Self::new(&btf::structs(release?)?);
        from_dwarf().or_else(from_btf).ok_or_else(|| {
            let release = release.unwrap_or("(none named)");
            Error::Request {
                message: format!(
                    "the module has no debug information, and this machine has no BTF of its kernel {release}"
                ),
                help: format!(
                    "`cargo klp doctor --fix --kernel {release}` gets the kernel, if Debian has it"
                ),
            }
        })
    }

    fn new(structs: &Structs) -> Option<Self> {
        let structure = |name| structs.get(name).filter(|structure| structure.size > 0);
        let (patch, object, func) =
            (structure("klp_patch")?, structure("klp_object")?, structure("klp_func")?);
        let callbacks = match (object.offset("callbacks"), structure("klp_callbacks")) {
            (Some(start), Some(callbacks)) => callbacks.pointers_from(start),
            _ => Vec::new(),
        };
        let state = structure("klp_state").and_then(|state| {
            Some(State { id: state.offset("id")?, version: state.offset("version")?, size: state.size })
        });
        Some(Self {
            patch: Patch {
                module: patch.offset("mod")?,
                objs: patch.offset("objs")?,
                states: patch.offset("states"),
                replace: patch.offset("replace"),
            },
            object: Object {
                name: object.offset("name")?,
                funcs: object.offset("funcs")?,
                callbacks,
                size: object.size,
            },
            func: Func {
                old_name: func.offset("old_name")?,
                new_func: func.offset("new_func")?,
                old_sympos: func.offset("old_sympos"),
                size: func.size,
            },
            state,
        })
    }
}

impl Struct {
    fn offset(&self, field: &str) -> Option<u64> {
        self.fields.get(field).copied()
    }

    /// The callbacks among the fields, in order, for a structure at the offset `start` of another one.
    fn pointers_from(&self, start: u64) -> Vec<(String, u64)> {
        let mut fields: Vec<_> = self
            .fields
            .iter()
            // `post_unpatch_enabled` is for the kernel's own use.
            .filter(|(name, _)| name.ends_with("patch"))
            .map(|(name, offset)| (name.clone(), start.wrapping_add(*offset)))
            .collect();
        fields.sort_by_key(|(_, offset)| *offset);
        fields
    }
}
