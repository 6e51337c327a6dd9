//! The symbols that a module needs.

use object::{Object, ObjectSymbol};

use super::report::{LivepatchSymbol, Symbols};
use crate::kernel::symbols::NAME_LENGTH;
pub use crate::patch::verify::SYMBOL_PREFIX as PREFIX;

/// The symbols that a module does not define, sorted by name.
pub fn read(file: &object::File<'_>) -> Symbols {
    let mut symbols = Symbols::default();
    for symbol in file.symbols() {
        let Ok(name) = symbol.name() else { continue };
        if name.len() >= NAME_LENGTH {
            continue;
        }
        if let Some(mut livepatch) = parse(name) {
            // `SHN_LIVEPATCH` is a special section number: neither undefined nor a section of the file.
            livepatch.resolved = !symbol.is_undefined();
            symbols.livepatch.push(livepatch);
        } else if symbol.is_undefined() && !name.is_empty() {
            symbols.exported.push(name.into());
        }
    }
    symbols.exported.sort_unstable();
    symbols.livepatch.sort_by(|a, b| (&a.object, &a.symbol, a.sympos).cmp(&(&b.object, &b.symbol, b.sympos)));
    symbols
}

/// Takes `.klp.sym.OBJECT.NAME,POS` apart. A name may have dots, an object has none.
fn parse(name: &str) -> Option<LivepatchSymbol> {
    let (object, rest) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let (symbol, sympos) = rest.rsplit_once(',')?;
    let sympos = sympos.parse().ok()?;
    Some(LivepatchSymbol { object: object.into(), symbol: symbol.into(), sympos, resolved: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_livepatch_symbols() {
        let symbol = parse(".klp.sym.nf_tables.nft_do.isra.0,2").unwrap();
        assert_eq!((&*symbol.object, &*symbol.symbol, symbol.sympos), ("nf_tables", "nft_do.isra.0", 2));
        for other in ["printk", ".klp.sym.vmlinux", ".klp.sym.vmlinux.f", ".klp.sym.vmlinux.f,x"] {
            assert!(parse(other).is_none(), "{other}");
        }
    }
}
