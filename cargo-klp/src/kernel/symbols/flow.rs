//! How a function's code goes on: whether it can return, and what it calls.

use std::ops::Range;

use super::{Flow, Kind, Object, Symbol};
use crate::error::Result;

impl Object<'_> {
    /// What the code of a function does; `None` for a module, in whose file calls and jumps have no targets yet.
    pub fn flow(&self, function: &Symbol) -> Result<Option<Flow>> {
        if !matches!(self.kind, Kind::Vmlinux(_)) {
            return Ok(None);
        }
        // gcc moves unlikely parts of a function elsewhere.
        let mut parts = self.starting_with(&format!("{}.cold", function.name));
        parts.insert(0, function.clone());
        let range = |part: &Symbol| part.address..self.layout().end(part);
        let own: Vec<Range<u64>> = parts.iter().map(range).collect();
        let mut flow = Flow::default();
        for (part, range) in parts.iter().zip(&own) {
            let length = usize::try_from(range.end - range.start).unwrap_or_default();
            let code = self.layout().bytes(part, length)?;
            self.arch().code.add_flow(&code, range.start, &own, &mut flow);
        }
        Ok(Some(flow))
    }
}
