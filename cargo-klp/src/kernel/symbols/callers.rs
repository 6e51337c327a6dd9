//! Who calls a function of vmlinux, by the calls and jumps in its code.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use object::{Object as _, ObjectSegment};

use super::{Kind, Object, Symbol};
use crate::error::{Error, Result};
use crate::host::cache::unusable;

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
            for (at, target) in self.arch().code.branches(code, segment.address()) {
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
