//! Reads from DWARF which functions were inlined into which.

use std::collections::HashMap;

use gimli::{AttributeValue, Dwarf, EndianSlice, LittleEndian, Unit, UnitType};

use crate::host::sorted;
use crate::kernel::symbols::NAME_LENGTH;

/// A section's bytes, relocated.
pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// All functions of the source that the object contains.
#[derive(Debug, Default)]
pub(super) struct Program<'a> {
    /// The functions, each once, even if many files include it.
    pub functions: Vec<Function<'a>>,
    /// The code that the compiler made for them.
    pub copies: Vec<Copy>,
}

/// A function of the source.
#[derive(Debug)]
pub(super) struct Function<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its place, `file:line`.
    pub place: String,
    /// The copies that it was inlined into, each with the number of places.
    pub inlined: HashMap<usize, u32>,
}

/// A function's code that is not part of another's.
#[derive(Debug)]
pub(super) struct Copy {
    /// Its start: that of the hot part, if there are two parts.
    pub address: u64,
    /// The function that it belongs to.
    pub function: usize,
}

/// A reason why DWARF can't be read. If it were ignored, inlined functions would seem not to be inlined.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Dwarf(#[from] gimli::Error),
    #[error("it refers to `{0}`, a file of its own for each source file (CONFIG_DEBUG_INFO_SPLIT)")]
    Split(String),
}

/// Reads all functions.
pub(super) fn read<'a>(dwarf: &Dwarf<Slice<'a>>) -> Result<Program<'a>, Error> {
    let mut entries = Entries::default();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        if matches!(header.type_(), UnitType::Type { .. } | UnitType::SplitType { .. }) {
            continue;
        }
        let unit = dwarf.unit(header)?;
        if let Some(file) = unit.dwo_name()? {
            return Err(Error::Split(dwarf.attr_string(&unit, file)?.to_string_lossy().into_owned()));
        }
        entries.read(dwarf, &unit)?;
    }
    Ok(entries.program())
}

/// The number of an entry: its offset in all of the debug information.
type Offset = usize;

/// The attributes of a subprogram. For a copy of code, the entry that it stems from has the rest.
#[derive(Clone, Debug, Default)]
struct Subprogram<'a> {
    name: Option<&'a str>,
    file: Option<usize>,
    line: Option<u64>,
    origin: Option<Offset>,
    is_declaration: bool,
}

/// Data collected from all units, until the references among them can be followed.
#[derive(Debug, Default)]
struct Entries<'a> {
    subprograms: HashMap<Offset, Subprogram<'a>>,
    /// Each copy's address, and its entry.
    copies: Vec<(u64, Offset)>,
    /// Each inlined entry, the copy that contains it, and the entry that it is nested in.
    inlined: Vec<(Offset, usize, Offset)>,
    files: Vec<String>,
    file_numbers: HashMap<String, usize>,
}

/// The context of the entries that are being read.
#[derive(Clone, std::marker::Copy, Debug)]
struct Scope {
    depth: isize,
    /// The code; `None` in a description that only inlined copies refer to.
    copy: Option<usize>,
    /// The entry of the function.
    function: Offset,
}

impl<'a> Entries<'a> {
    fn read(&mut self, dwarf: &Dwarf<Slice<'a>>, unit: &Unit<Slice<'a>>) -> Result<(), gimli::Error> {
        let global = |offset: gimli::UnitOffset| {
            offset.to_debug_info_offset(&unit.header).map_or(offset.0, |offset| offset.0)
        };
        let mut files = HashMap::new();
        let mut scopes = Vec::<Scope>::new();
        let mut raw = unit.entries_raw(None)?;
        while !raw.is_empty() {
            let (offset, depth) = (global(raw.next_offset()), raw.next_depth());
            let Some(abbreviation) = raw.read_abbreviation()? else { continue };
            let tag = abbreviation.tag();
            if !matches!(tag, gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine) {
                raw.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            while scopes.pop_if(|scope| scope.depth >= depth).is_some() {}
            let mut entry = Subprogram::default();
            let (mut low, mut ranges, mut linkage_name) = (None, None, None);
            for &specification in abbreviation.attributes() {
                let attribute = raw.read_attribute(specification)?;
                let value = attribute.value();
                match attribute.name() {
                    gimli::DW_AT_name => entry.name = text(dwarf, unit, value)?,
                    gimli::DW_AT_linkage_name => linkage_name = text(dwarf, unit, value)?,
                    gimli::DW_AT_decl_file => {
                        entry.file = match value {
                            AttributeValue::FileIndex(index) => {
                                Some(self.file(dwarf, unit, &mut files, index)?)
                            }
                            _ => None,
                        };
                    }
                    gimli::DW_AT_decl_line => entry.line = value.udata_value(),
                    gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => {
                        entry.origin = match value {
                            AttributeValue::UnitRef(offset) => Some(global(offset)),
                            AttributeValue::DebugInfoRef(offset) => Some(offset.0),
                            _ => None,
                        };
                    }
                    gimli::DW_AT_declaration => entry.is_declaration = true,
                    gimli::DW_AT_low_pc => low = dwarf.attr_address(unit, value)?,
                    gimli::DW_AT_ranges => ranges = dwarf.attr_ranges_offset(unit, value)?,
                    _ => {}
                }
            }
            if tag == gimli::DW_TAG_inlined_subroutine {
                let (Some(origin), Some(around)) = (entry.origin, scopes.last().copied()) else { continue };
                if let Some(copy) = around.copy {
                    self.inlined.push((origin, copy, around.function));
                }
                scopes.push(Scope { depth, copy: around.copy, function: origin });
                continue;
            }
            // The first range is the hot part.
            let start = match (low, ranges) {
                (Some(low), _) => Some(low),
                (None, Some(ranges)) => dwarf.ranges(unit, ranges)?.next()?.map(|range| range.begin),
                (None, None) => None,
            };
            let copy = start.map(|address| {
                self.copies.push((address, offset));
                self.copies.len() - 1
            });
            entry.name = linkage_name.or(entry.name);
            self.subprograms.insert(offset, entry);
            scopes.push(Scope { depth, copy, function: offset });
        }
        Ok(())
    }

    /// The number of a unit's file.
    fn file(
        &mut self,
        dwarf: &Dwarf<Slice<'a>>,
        unit: &Unit<Slice<'a>>,
        known: &mut HashMap<u64, usize>,
        index: u64,
    ) -> Result<usize, gimli::Error> {
        if let Some(&number) = known.get(&index) {
            return Ok(number);
        }
        let path = path(dwarf, unit, index)?;
        let number = *self.file_numbers.entry(path.clone()).or_insert_with(|| {
            self.files.push(path);
            self.files.len() - 1
        });
        known.insert(index, number);
        Ok(number)
    }

    /// Follows the references.
    fn program(&self) -> Program<'a> {
        let mut program = Program::default();
        let mut numbers = HashMap::new();
        let mut number = |functions: &mut Vec<Function<'a>>, offset| {
            let Subprogram { name, file, line, .. } = self.whole(offset);
            let name = name?;
            Some(*numbers.entry((name, file, line)).or_insert_with(|| {
                let file = file.map_or("?", |file| &*self.files[file]);
                let place = format!("{file}:{}", line.unwrap_or(0));
                functions.push(Function { name, place, inlined: HashMap::new() });
                functions.len() - 1
            }))
        };
        // The index of a copy in the result; `None` if its function is unknown.
        let mut copies = Vec::with_capacity(self.copies.len());
        for &(address, offset) in &self.copies {
            let function = number(&mut program.functions, offset);
            copies.push(function.map(|function| {
                program.copies.push(Copy { address, function });
                program.copies.len() - 1
            }));
        }
        for &(origin, copy, around) in &self.inlined {
            let Some(function) = number(&mut program.functions, origin) else { continue };
            // A part that was split off and inlined again is not a place of its own.
            let is_part = number(&mut program.functions, around) == Some(function);
            let Some(copy) = copies[copy].filter(|_| !is_part) else { continue };
            // Nor is the function's own code, when the function calls itself.
            if program.copies[copy].function != function {
                *program.functions[function].inlined.entry(copy).or_default() += 1;
            }
        }
        for (&offset, subprogram) in &self.subprograms {
            if !subprogram.is_declaration && subprogram.origin.is_none() {
                number(&mut program.functions, offset);
            }
        }
        program
    }

    /// The attributes of an entry, completed from the entries that it stems from.
    fn whole(&self, offset: Offset) -> Subprogram<'a> {
        let mut whole = Subprogram { origin: Some(offset), ..Subprogram::default() };
        // At most a description and its declaration.
        for _ in 0..4 {
            let Some(next) = whole.origin.and_then(|origin| self.subprograms.get(&origin)) else { break };
            whole = Subprogram {
                name: whole.name.or(next.name),
                file: whole.file.or(next.file),
                line: whole.line.or(next.line),
                origin: next.origin,
                is_declaration: false,
            };
        }
        whole
    }
}

fn text<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    value: AttributeValue<Slice<'a>>,
) -> Result<Option<&'a str>, gimli::Error> {
    let text = std::str::from_utf8(dwarf.attr_string(unit, value)?.slice()).ok();
    Ok(text.filter(|name| name.len() < NAME_LENGTH && sorted::is_word(name)))
}

/// The path of a unit's file, from the directory where the unit was compiled.
pub(super) fn path(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    index: u64,
) -> Result<String, gimli::Error> {
    let Some(header) = unit.line_program.as_ref().map(|program| program.header()) else {
        return Ok("?".into());
    };
    let Some(file) = header.file(index) else { return Ok("?".into()) };
    let name = part_of_path(dwarf.attr_string(unit, file.path_name())?);
    let directory = match file.directory(header) {
        // The first entry is the directory of the compilation itself.
        Some(directory) if file.directory_index() != 0 => part_of_path(dwarf.attr_string(unit, directory)?),
        _ => String::new(),
    };
    let path =
        if name.starts_with('/') || directory.is_empty() { name } else { format!("{directory}/{name}") };
    let compiled_in = unit.comp_dir.map(part_of_path).unwrap_or_default();
    let relative = path.strip_prefix(&*compiled_in).unwrap_or(&path);
    Ok(relative.trim_start_matches("./").trim_start_matches('/').to_owned())
}

/// A part of a path as one word: debug information that is damaged may have anything there.
fn part_of_path(text: Slice<'_>) -> String {
    /// `PATH_MAX`.
    const LONGEST: usize = 4096;
    let bytes = &text.slice()[..text.len().min(LONGEST)];
    String::from_utf8_lossy(bytes).replace(|letter: char| letter.is_control(), "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_some_length() {
        assert_eq!(part_of_path(Slice::new(b"kernel/fork.c", LittleEndian)), "kernel/fork.c");
        assert_eq!(part_of_path(Slice::new(b"a\nb", LittleEndian)), "a?b");
        assert_eq!(part_of_path(Slice::new(&[b'x'; 10_000], LittleEndian)).len(), 4096);
    }
}
