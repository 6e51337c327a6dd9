//! The tables of a patch in an object file or a module.

use std::path::Path;

use klp_format::Table;
use object::{Object, ObjectSymbol};

use crate::error::{Error, Result};
use crate::patch::manifest::{Count, Manifest};

/// The symbol at the start of a table.
pub fn start(table: Table) -> String {
    format!("__start_{}", table.section())
}

/// Compares the tables of a linked object or module with what the macros emitted.
pub fn check_tables(path: &Path, file: &object::File<'_>, manifest: &Manifest) -> Result<()> {
    let address = |name: String| file.symbol_by_name(&name).map_or(0, |symbol| symbol.address());
    for count in manifest.counts() {
        let Count { table, emitted, entry_size } = count;
        let name = table.section();
        let bytes = address(format!("__stop_{name}")).wrapping_sub(address(start(table)));
        if Some(bytes) != entry_size.checked_mul(emitted) {
            let (what, found) = (count.what(), bytes / entry_size);
            return Err(Error::LostEntries { path: path.into(), what, emitted, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::example::module;

    #[test]
    fn a_manifest_may_give_any_size() {
        let data = module(&[], &[]);
        let file = object::File::parse(&*data).unwrap();
        let mut manifest = Manifest::default();
        let max = u64::MAX;
        let lines = format!(
            "patch\tfix\t0\t1\t1\t-\t0\t{max}\t1\t1\t1\t1\t1\0func\tvmlinux\tf\t0\t-\t-\0func\tvmlinux\tg\t0\t-\t-\0"
        );
        manifest.add(lines.as_bytes()).unwrap();
        let error = check_tables("x.ko".as_ref(), &file, &manifest).unwrap_err();
        assert!(matches!(error, Error::LostEntries { emitted: 2, found: 0, .. }), "{error}");
    }
}
