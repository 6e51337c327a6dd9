//! Who calls a function of vmlinux, by the calls and jumps in its code.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use object::{Object as _, ObjectSegment};

use super::{Kind, Object, Symbol};
use crate::error::{Error, Result};
use crate::host::cache::unusable;

/// The opcodes of `call` and `jmp`, before 4 bytes of distance.
const OPCODES: [u8; 2] = [0xe8, 0xe9];
/// Their length.
const LENGTH: u64 = 5;

/// The calls among functions of vmlinux.
pub struct Calls {
    /// For each function that is called by its address, those that call it.
    callers: HashMap<u64, BTreeSet<u64>>,
    /// And for each that calls others, these.
    callees: HashMap<u64, BTreeSet<u64>>,
    /// The functions by their addresses.
    functions: HashMap<u64, Symbol>,
}

impl Object<'_> {
    /// The direct calls to functions, by their addresses; `None` for a module, in whose file they have no targets yet.
    ///
    /// The bytes are not decoded: some that look like a call may be none. A target must be the start of a function.
    pub fn calls(&self) -> Result<Option<Calls>> {
        if !matches!(self.kind, Kind::Vmlinux(_)) {
            return Ok(None);
        }
        let functions: HashMap<u64, Symbol> =
            self.all().into_iter().filter(Symbol::is_code).map(|symbol| (symbol.address, symbol)).collect();
        let mut starts: Vec<u64> = functions.keys().copied().collect();
        starts.sort_unstable();
        let file = self.file();
        let data = fs::read(file).map_err(Error::io("read", file))?;
        let elf = object::File::parse(&*data).map_err(|error| unusable(file, error))?;
        let mut calls = Calls { callers: HashMap::new(), callees: HashMap::new(), functions };
        for segment in elf.segments() {
            let code = segment.data().map_err(|error| unusable(file, error))?;
            for (at, target) in branches(code, segment.address()) {
                let caller = starts[..starts.partition_point(|start| *start <= at)].last();
                if let Some(caller) = caller.filter(|_| calls.functions.contains_key(&target)) {
                    calls.callers.entry(target).or_default().insert(*caller);
                    calls.callees.entry(*caller).or_default().insert(target);
                }
            }
        }
        Ok(Some(calls))
    }
}

impl Calls {
    /// The functions that call one.
    #[must_use]
    pub fn to(&self, function: &Symbol) -> Vec<Symbol> {
        self.named(self.callers.get(&function.address))
    }

    /// The functions that one calls.
    #[must_use]
    pub fn from(&self, function: &Symbol) -> Vec<Symbol> {
        self.named(self.callees.get(&function.address))
    }

    fn named(&self, addresses: Option<&BTreeSet<u64>>) -> Vec<Symbol> {
        addresses.into_iter().flatten().filter_map(|address| self.functions.get(address)).cloned().collect()
    }
}

/// Where calls and jumps may be in some code, each with its target.
fn branches(code: &[u8], address: u64) -> impl Iterator<Item = (u64, u64)> {
    code.windows(LENGTH as usize).zip(address..).filter_map(|(bytes, at)| {
        let distance = i32::from_le_bytes(*bytes[1..].first_chunk()?);
        OPCODES.contains(&bytes[0]).then(|| (at, (at + LENGTH).wrapping_add_signed(distance.into())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_jumps_lead_to_their_targets() {
        // nop; call +0x10; jmp -0x20; endbr64
        let code = [0x90, 0xe8, 0x10, 0, 0, 0, 0xe9, 0xe0, 0xff, 0xff, 0xff, 0xf3, 0x0f, 0x1e, 0xfa];
        let found: Vec<_> = branches(&code, 0x1000).collect();
        assert_eq!(found, [(0x1001, 0x1016), (0x1006, 0x0feb)]);
    }
}
