//! The kernel's table of its symbols, as it is, and one that is made of the input and then damaged.

use arbitrary::{Result, Unstructured};
use cargo_klp::kernel::arch::X86_64;
use cargo_klp::kernel::symbols::{Table, kallsyms};

use crate::seeds::kallsyms::{Kallsyms, MAPPED_AT};

/// Looks for the table in the bytes, and in a table that the bytes describe.
pub fn run(data: &[u8]) {
    look(data);
    if let Ok(table) = described(&mut Unstructured::new(data)) {
        look(&table);
    }
}

fn look(data: &[u8]) {
    for absolute_percpu in [false, true] {
        let entries = kallsyms::read(data, MAPPED_AT, X86_64.kernel_start, absolute_percpu);
        let Ok(entries) = entries else { continue };
        let table = Table::of(&entries);
        assert!(table.all().len() <= entries.len());
        for entry in entries.iter().step_by(100) {
            let _ = table.starting_with(&entry.name, |_| true);
        }
    }
}

/// A table with some bytes replaced.
fn described(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut table = Kallsyms {
        symbols: input.int_in_range(998..=1002)?,
        long: input.int_in_range(0..=2000)?,
        base: input.arbitrary()?,
        step: input.arbitrary()?,
        offsets_first: input.arbitrary()?,
        distances: input.arbitrary()?,
    }
    .write();
    for _ in 0..input.int_in_range(0..=8)? {
        let at = input.choose_index(table.len())?;
        table[at] = input.arbitrary()?;
    }
    if input.ratio(1, 8)? {
        table.truncate(input.choose_index(table.len())?);
    }
    Ok(table)
}
