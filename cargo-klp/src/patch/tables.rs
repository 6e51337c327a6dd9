//! The tables of a patch, as an object file or a module has them.

use std::path::Path;

use klp_format::Table;
use object::{Object, ObjectSymbol};

use crate::error::{Error, Result};
use crate::patch::manifest::{Count, Manifest};

/// The symbol at the start of a table.
pub fn start(table: Table) -> String {
    format!("__start_{}", table.section())
}

/// Holds the tables of a linked object or module against what the macros emitted.
pub fn check_tables(path: &Path, file: &object::File<'_>, manifest: &Manifest) -> Result<()> {
    let address = |name: String| file.symbol_by_name(&name).map_or(0, |symbol| symbol.address());
    for count in manifest.counts() {
        let Count { table, emitted, entry_size } = count;
        let name = table.section();
        let bytes = address(format!("__stop_{name}")).wrapping_sub(address(start(table)));
        if bytes != entry_size * emitted {
            let (what, found) = (count.what(), bytes / entry_size);
            return Err(Error::LostEntries { path: path.into(), what, emitted, found });
        }
    }
    Ok(())
}
