//! Which line of the source the code at an address is of.

use gimli::{Dwarf, Unit};
use object::SectionIndex;

use super::dwarf::{self, Slice};
use super::sections::{Sections, address};

/// What is wrong with debug information.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The lines of an object file that has debug information.
#[derive(Debug)]
pub(crate) struct Lines<'data> {
    file: object::File<'data>,
    /// Addresses, sorted, and what begins there: a line, or code without one.
    rows: Vec<(u64, Option<String>)>,
}

impl<'data> Lines<'data> {
    /// Reads them.
    pub(crate) fn read(elf: &'data [u8]) -> Result<Self> {
        let file = object::File::parse(elf)?;
        let mut rows = Vec::new();
        {
            let sections = Sections::load(&file)?;
            let dwarf = sections.dwarf();
            let mut units = dwarf.units();
            while let Some(header) = units.next()? {
                add_unit(&dwarf, &dwarf.unit(header)?, &mut rows)?;
            }
        }
        rows.sort();
        Ok(Self { file, rows })
    }

    /// The object file.
    pub(crate) fn file(&self) -> &object::File<'data> {
        &self.file
    }

    /// The place of the code at an offset of a section, `file:line`.
    pub(crate) fn place(&self, section: SectionIndex, offset: u64) -> Option<&str> {
        let address = address(&self.file, section, offset);
        let next = self.rows.partition_point(|(row, _)| *row <= address);
        self.rows.get(next.checked_sub(1)?)?.1.as_deref()
    }
}

fn add_unit(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    lines: &mut Vec<(u64, Option<String>)>,
) -> Result<()> {
    let Some(program) = unit.line_program.clone() else { return Ok(()) };
    let mut rows = program.rows();
    while let Some((_, row)) = rows.next_row()? {
        let place = match (row.end_sequence(), row.line()) {
            (false, Some(line)) => Some(format!("{}:{line}", dwarf::path(dwarf, unit, row.file_index())?)),
            // Of no line in particular: that of the code before it.
            (false, None) => continue,
            (true, _) => None,
        };
        lines.push((row.address(), place));
    }
    Ok(())
}
