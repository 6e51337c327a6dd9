//! The texts of the cache: symbols by their names, and functions of the source.

use cargo_klp::kernel::debug_info::DebugInfo;
use cargo_klp::kernel::symbols::Table;

/// The first line is what is looked for in the rest.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (name, text) = text.split_once('\n').unwrap_or_default();
    let table = Table::from_text(text.into());
    for symbol in table.all().iter().chain(&table.starting_with(name, |found| found == name)) {
        let _ = DebugInfo::of_index(text.into()).of_symbol(symbol);
    }
    let _ = table.addresses();
    let _ = DebugInfo::of_index(text.into()).named(name);
}
