//! The tables of a patch, as an object file or a module has them.

use std::path::Path;

use object::{Object, ObjectSymbol};

use crate::error::{Error, Result};
use crate::patch::manifest::{Manifest, Table};

/// Holds the tables of a linked object or module against what the macros emitted.
pub fn check_tables(path: &Path, file: &object::File<'_>, manifest: &Manifest) -> Result<()> {
    let address = |name: String| file.symbol_by_name(&name).map_or(0, |symbol| symbol.address());
    for Table { what, name, emitted, entry_size } in manifest.tables() {
        let bytes = address(format!("__stop_{name}")).wrapping_sub(address(format!("__start_{name}")));
        if bytes != entry_size * emitted {
            return Err(Error::LostEntries { path: path.into(), what, emitted, found: bytes / entry_size });
        }
    }
    Ok(())
}
