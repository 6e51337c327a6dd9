//! Finds the line of the source for the code at an address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use gimli::{Dwarf, Unit};
use object::SectionIndex;

use super::dwarf::{self, Slice};
use super::sections::{Sections, address};

/// A defect of debug information.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The lines of an object file that has debug information.
#[derive(Debug)]
pub struct Lines<'data> {
    file: object::File<'data>,
    /// The paths of source files.
    paths: Vec<String>,
    /// Addresses, sorted, and what begins there: a line of a file, or code without one.
    rows: Vec<(u64, Option<Line>)>,
}

/// A line of the source: the number of the file's path, and its own.
type Line = (usize, u64);

impl<'data> Lines<'data> {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// The file is damaged.
    pub fn read(elf: &'data [u8]) -> Result<Self> {
        let file = object::File::parse(elf)?;
        let (mut paths, mut rows) = (Vec::new(), Vec::new());
        {
            let sections = Sections::load(&file)?;
            let dwarf = sections.dwarf();
            let mut units = dwarf.units();
            while let Some(header) = units.next()? {
                add_unit(&dwarf, &dwarf.unit(header)?, &mut paths, &mut rows)?;
            }
        }
        rows.sort();
        Ok(Self { file, paths, rows })
    }

    /// The object file.
    pub fn file(&self) -> &object::File<'data> {
        &self.file
    }

    /// The place of the code at an offset of a section, `file:line`.
    pub fn place(&self, section: SectionIndex, offset: u64) -> Option<String> {
        let address = address(&self.file, section, offset);
        let next = self.rows.partition_point(|(row, _)| *row <= address);
        let (path, line) = self.rows.get(next.checked_sub(1)?)?.1?;
        Some(format!("{}:{line}", self.paths[path]))
    }
}

fn add_unit(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    paths: &mut Vec<String>,
    lines: &mut Vec<(u64, Option<Line>)>,
) -> Result<()> {
    let Some(program) = unit.line_program.clone() else { return Ok(()) };
    let mut known = HashMap::new();
    let mut rows = program.rows();
    while let Some((_, row)) = rows.next_row()? {
        let line = match (row.end_sequence(), row.line()) {
            (false, Some(line)) => {
                let path = match known.entry(row.file_index()) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(unknown) => {
                        paths.push(dwarf::path(dwarf, unit, row.file_index())?);
                        *unknown.insert(paths.len() - 1)
                    }
                };
                Some((path, line.get()))
            }
            // Code without a line of its own has the line of the code before it.
            (false, None) => continue,
            (true, _) => None,
        };
        lines.push((row.address(), line));
    }
    Ok(())
}
