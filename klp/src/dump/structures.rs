//! The kernel's structures in a dump, with the layouts of its own BTF, which is in its memory.

use std::cell::RefCell;
use std::collections::HashMap;

use klp_btf::{Error, Types};

use super::fault::{Fault, Result};
use super::memory::Memory;

/// More than any list of the kernel has: one that is longer goes round.
const LIMIT: usize = 1 << 20;

/// A kernel's memory, and what is where in it.
pub struct Kernel {
    memory: Memory,
    symbols: HashMap<&'static str, u64>,
    types: Types,
    fields: RefCell<HashMap<(&'static str, &'static str), Place>>,
}

/// Where a field is in its structure.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    size: usize,
}

impl Kernel {
    /// Reads the layouts of a kernel whose symbols are known.
    ///
    /// # Errors
    ///
    /// The kernel has no BTF, or the dump lacks it.
    pub fn new(memory: Memory, symbols: HashMap<&'static str, u64>) -> Result<Self> {
        let (Some(&start), Some(&stop)) = (symbols.get("__start_BTF"), symbols.get("__stop_BTF")) else {
            return Err(Fault::new(
                "its kernel has no BTF (CONFIG_DEBUG_INFO_BTF), which tells how its structures are laid out",
                "read it with `crash` or `drgn`, and the kernel's debug information",
            ));
        };
        let size = usize::try_from(stop.wrapping_sub(start)).unwrap_or(usize::MAX);
        // A kernel's is a few megabytes.
        if size > 1 << 28 {
            return Err(Fault::broken("the kernel's BTF has no end"));
        }
        let types = Types::of_bytes(&memory.read(start, size)?).map_err(unknown)?;
        Ok(Self { memory, symbols, types, fields: RefCell::default() })
    }

    /// The address of a variable.
    pub fn variable(&self, name: &str) -> Option<u64> {
        self.symbols.get(name).copied()
    }

    /// The number in a variable of 64 bits.
    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        self.variable(name).map(|address| self.unsigned(address, 8)).transpose()
    }

    /// A structure at an address.
    pub fn structure(&self, kind: &'static str, address: u64) -> Structure<'_> {
        Structure { kernel: self, kind, address }
    }

    /// The structures in a list, by the address of its head, and the field that links them.
    pub fn list(&self, head: u64, kind: &'static str, link: &'static str) -> Result<Vec<Structure<'_>>> {
        let offset = self.place(kind, link)?.offset;
        let mut found = Vec::new();
        let mut next = self.unsigned(head, 8)?;
        while next != head {
            if found.len() == LIMIT {
                return Err(Fault::broken(format_args!("the list of {kind} at {head:#x} has no end")));
            }
            found.push(self.structure(kind, next.wrapping_sub(offset)));
            next = self.unsigned(next, 8)?;
        }
        Ok(found)
    }

    /// The bytes at an address.
    pub fn read(&self, address: u64, size: usize) -> Result<Vec<u8>> {
        self.memory.read(address, size)
    }

    fn unsigned(&self, address: u64, size: usize) -> Result<u64> {
        let mut number = [0; 8];
        let size = size.min(8);
        number[..size].copy_from_slice(&self.memory.read(address, size)?);
        Ok(u64::from_le_bytes(number))
    }

    fn place(&self, kind: &'static str, field: &'static str) -> Result<Place> {
        self.find(kind, field)?.ok_or_else(|| unknown(format_args!("no field {field} of {kind}")))
    }

    fn find(&self, kind: &'static str, field: &'static str) -> Result<Option<Place>> {
        if let Some(place) = self.fields.borrow().get(&(kind, field)) {
            return Ok(Some(*place));
        }
        let id = self.types.find(kind).map_err(unknown)?;
        let id = id.ok_or_else(|| unknown(format_args!("no structure {kind}")))?;
        let fields = self.types.fields(id).map_err(unknown)?;
        let Some(found) = fields.into_iter().find(|known| known.name == field) else { return Ok(None) };
        let size = self.types.size_of(found.id).map_err(unknown)?;
        let place = Place { offset: found.offset / 8, size: usize::try_from(size).unwrap_or(usize::MAX) };
        self.fields.borrow_mut().insert((kind, field), place);
        Ok(Some(place))
    }

    fn size(&self, kind: &'static str) -> Result<u64> {
        let id = self.types.find(kind).map_err(unknown)?;
        self.types.size_of(id.unwrap_or_default()).map_err(unknown)
    }
}

/// A structure of the kernel. Its fields are read when they are asked for.
#[derive(Clone, Copy)]
pub struct Structure<'a> {
    kernel: &'a Kernel,
    kind: &'static str,
    /// Where it is.
    pub address: u64,
}

impl<'a> Structure<'a> {
    /// A number or a pointer, whatever its size.
    pub fn number(&self, field: &'static str) -> Result<u64> {
        let place = self.kernel.place(self.kind, field)?;
        self.kernel.unsigned(self.address.wrapping_add(place.offset), place.size)
    }

    /// As [`number`](Self::number), of a field that only some kernels have.
    pub fn number_if_any(&self, field: &'static str) -> Result<Option<u64>> {
        match self.kernel.find(self.kind, field)? {
            Some(_) => self.number(field).map(Some),
            None => Ok(None),
        }
    }

    /// A field that is true or false.
    pub fn flag(&self, field: &'static str) -> Result<bool> {
        Ok(self.number(field)? != 0)
    }

    /// The text that a pointer points to.
    pub fn text(&self, field: &'static str) -> Result<Option<String>> {
        match self.number(field)? {
            0 => Ok(None),
            address => self.kernel.memory.text(address).map(Some),
        }
    }

    /// The text that stands in the structure itself.
    pub fn letters(&self, field: &'static str) -> Result<String> {
        let place = self.kernel.place(self.kind, field)?;
        let bytes = self.kernel.read(self.address.wrapping_add(place.offset), place.size.min(4096))?;
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// The structure that a pointer points to.
    pub fn pointed(&self, field: &'static str, kind: &'static str) -> Result<Option<Structure<'a>>> {
        let address = self.number(field)?;
        Ok((address != 0).then(|| self.kernel.structure(kind, address)))
    }

    /// A structure that is a part of this one.
    pub fn part(&self, field: &'static str, kind: &'static str) -> Result<Structure<'a>> {
        let place = self.kernel.place(self.kind, field)?;
        Ok(self.kernel.structure(kind, self.address.wrapping_add(place.offset)))
    }

    /// The structures in the list that starts here.
    pub fn list(
        &self,
        head: &'static str,
        kind: &'static str,
        link: &'static str,
    ) -> Result<Vec<Structure<'a>>> {
        let place = self.kernel.place(self.kind, head)?;
        self.kernel.list(self.address.wrapping_add(place.offset), kind, link)
    }

    /// The structures that stand one after the other in a field, or the one that does; none if this kernel has no such
    /// field.
    pub fn parts(&self, field: &'static str, kind: &'static str) -> Result<Vec<Structure<'a>>> {
        let Some(place) = self.kernel.find(self.kind, field)? else { return Ok(Vec::new()) };
        let size = self.kernel.size(kind)?.max(1);
        let start = self.address.wrapping_add(place.offset);
        let number = place.size as u64 / size;
        Ok((0..number).map(|number| self.kernel.structure(kind, start.wrapping_add(number * size))).collect())
    }
}

/// What the kernel's BTF does not say.
fn unknown(what: impl std::fmt::Display) -> Fault {
    Fault::broken(format_args!("the kernel's BTF can't be read ({what})"))
}

/// For `map_err` on what the BTF's reader says.
impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        unknown(error)
    }
}
