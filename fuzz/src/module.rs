//! Modules: what `inspect` shows, what `verify` refuses, and their symbols.

use std::path::Path;

use cargo_klp::kernel::symbols::Object;
use cargo_klp::patch::inspect;
use cargo_klp::patch::verify;

/// Symbols are looked at this often for each module, as some looks are a walk over all of them.
const SYMBOLS: usize = 30;

/// Inspects, verifies and takes apart a module.
pub fn run(data: &[u8]) {
    let _ = inspect::report(Path::new("fuzz.ko"), data);
    let _ = verify::faults(data);
    let Ok(module) = Object::module("fuzz", data.into()) else { return };
    let symbols = module.all();
    let sites = module.sites().ok().flatten();
    for symbol in symbols.iter().take(SYMBOLS) {
        let _ = module.named(&symbol.name);
        let _ = module.export(&symbol.name);
        let _ = module.is_per_cpu(symbol);
        let _ = module.neighbours(symbol);
        let _ = module.entry_length(symbol);
        if let Some(sites) = &sites {
            let _ = sites.has(symbol);
        }
        if let Some(other) = symbols.last() {
            let _ = module.refers(symbol, other);
        }
    }
    let _ = module.nearest("klp_rt_load");
    let _ = module.build_id();
}
