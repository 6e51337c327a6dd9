//! The object of a unit: its functions and data, in a form that can be compared.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use iced_x86::{Decoder, DecoderOptions, OpKind};
use object::elf::{R_X86_64_32, R_X86_64_32S, R_X86_64_64, R_X86_64_PC32, R_X86_64_PLT32};
use object::{
    File, Object as _, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionFlags,
    SectionIndex, SectionKind, SymbolKind,
};

use crate::error::{Error, Result};

/// An object, compared by the names in it.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The functions and variables that it defines, in the order of their places.
    pub definitions: Vec<Definition>,
    /// What it leaves undefined.
    pub undefined: BTreeSet<String>,
    /// The names that `__jump_table` and `.static_call_sites` refer to: what is patched when the module is loaded.
    pub patched_early: BTreeSet<String>,
}

/// A function or a variable.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its name, as the compiler has it.
    pub name: String,
    /// The name of its section.
    pub section: String,
    /// Its place there.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is code.
    pub is_code: bool,
    /// Whether the section can be written to.
    pub is_writable: bool,
    /// Whether another object's definition of the name takes its place.
    pub is_weak: bool,
    /// Whether other objects can use it.
    pub is_global: bool,
    /// What it consists of: instructions or words, with the names that they refer to.
    pub content: Vec<String>,
    /// The names that it refers to.
    pub refers: BTreeSet<String>,
}

impl Compiled {
    /// Reads an object.
    pub fn read(path: &Path) -> Result<Self> {
        let data = std::fs::read(path).map_err(Error::io("read", path))?;
        let read = || {
            let file = File::parse(&*data)?;
            Reader::new(&file)?.read()
        };
        read().map_err(Error::elf("read what the compiler made of the kernel's source"))
    }

    /// The definition of a name.
    pub fn named(&self, name: &str) -> Option<&Definition> {
        self.definitions.iter().find(|definition| definition.name == name)
    }
}

impl Definition {
    /// Its name without what differs from one compilation to the next.
    pub fn stem(&self) -> &str {
        stem(&self.name)
    }

    /// Whether it runs or is used only while the kernel or the module starts.
    pub fn is_init(&self) -> bool {
        self.section.starts_with(".init")
    }
}

/// A name without the number that the compiler appends, and of a part of a function that is rarely run, the function's.
pub fn stem(name: &str) -> &str {
    let mut name = name;
    loop {
        match name.rsplit_once('.') {
            Some((rest, part)) if !rest.is_empty() && (is_number(part) || part == "cold") => name = rest,
            _ => return name,
        }
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// A relocation.
struct Reference {
    /// Where it stands in its section.
    at: u64,
    flags: u32,
    target: RelocationTarget,
    addend: i64,
}

struct Reader<'a> {
    file: &'a File<'a>,
    /// The relocations of each section, in order.
    references: HashMap<SectionIndex, Vec<Reference>>,
    /// What each section defines: start, end, name.
    places: HashMap<SectionIndex, Vec<(u64, u64, &'a str)>>,
    /// Where in each section something without a name begins.
    unnamed: HashMap<SectionIndex, BTreeSet<u64>>,
}

/// So deep constants of functions may refer to each other.
const DEEPEST: usize = 4;

impl<'a> Reader<'a> {
    fn new(file: &'a File<'a>) -> object::Result<Self> {
        let (mut references, mut places) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        for section in file.sections() {
            let mut all: Vec<Reference> = section
                .relocations()
                .map(|(at, relocation)| {
                    let flags = match relocation.flags() {
                        RelocationFlags::Elf { r_type, .. } => r_type.0,
                        _ => 0,
                    };
                    Reference { at, flags, target: relocation.target(), addend: relocation.addend() }
                })
                .collect();
            all.sort_by_key(|reference| reference.at);
            references.insert(section.index(), all);
        }
        for symbol in file.symbols() {
            if let Some(section) = symbol.section_index()
                && symbol.size() > 0
                && matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown)
                && !is_device_table(symbol.name()?)
            {
                let (start, end) = (symbol.address(), symbol.address() + symbol.size());
                places.entry(section).or_default().push((start, end, symbol.name()?));
            }
        }
        places.values_mut().for_each(|places| places.sort_unstable());
        let mut reader = Self { file, references, places, unnamed: HashMap::new() };
        let mut unnamed = HashMap::<_, BTreeSet<u64>>::new();
        for reference in reader.references.values().flatten() {
            // A distance counts from the end of its field; what an instruction compares with is named.
            let is_distance =
                matches!(object::elf::RelocationType(reference.flags), R_X86_64_PC32 | R_X86_64_PLT32);
            let addend = reference.addend + if is_distance { 4 } else { 0 };
            if let Some((section, at)) = reader.place(&reference.target, addend)? {
                unnamed.entry(section).or_default().insert(at);
            }
        }
        reader.unnamed = unnamed;
        Ok(reader)
    }

    fn read(&self) -> object::Result<Compiled> {
        let (mut definitions, mut undefined) = (Vec::new(), BTreeSet::new());
        for symbol in self.file.symbols() {
            let name = symbol.name()?;
            if symbol.is_undefined() && !name.is_empty() {
                undefined.insert(name.to_owned());
            }
            let Some(index) = symbol.section_index() else { continue };
            let section = self.file.section_by_index(index)?;
            let section_name = section.name()?;
            let is_code = symbol.kind() == SymbolKind::Text;
            let is_data = symbol.kind() == SymbolKind::Data
                && [".data", ".bss", ".rodata"].iter().any(|start| section_name.starts_with(start));
            let is_own = !name.starts_with("__pfx_") && !is_device_table(name);
            if symbol.size() == 0 || !(is_code || is_data) || !is_own {
                continue;
            }
            if is_constant_of_a_function(name, &section)? {
                continue;
            }
            let mut definition = Definition {
                name: name.to_owned(),
                section: section_name.to_owned(),
                offset: symbol.address(),
                size: symbol.size(),
                is_code,
                is_writable: is_writable(&section)?,
                is_weak: symbol.is_weak(),
                is_global: symbol.is_global(),
                content: Vec::new(),
                refers: BTreeSet::new(),
            };
            match is_code {
                true => self.code(&mut definition, index)?,
                false => self.data(&mut definition, index)?,
            }
            definitions.push(definition);
        }
        drop_aliases(&mut definitions);
        definitions.sort_by(|a, b| (&a.section, a.offset, &a.name).cmp(&(&b.section, b.offset, &b.name)));
        let mut patched_early = BTreeSet::new();
        for section in self.file.sections() {
            if matches!(section.name()?, "__jump_table" | ".static_call_sites") {
                for reference in &self.references[&section.index()] {
                    patched_early.insert(self.describe(&reference.target, reference.addend)?.0);
                }
            }
        }
        Ok(Compiled { definitions, undefined, patched_early })
    }

    /// The relocations within a range of a section.
    fn within(&self, section: SectionIndex, start: u64, end: u64) -> &[Reference] {
        let all = self.references.get(&section).map(Vec::as_slice).unwrap_or_default();
        let (from, to) = (all.partition_point(|r| r.at < start), all.partition_point(|r| r.at < end));
        &all[from..to.max(from)]
    }

    fn code(&self, definition: &mut Definition, index: SectionIndex) -> object::Result<()> {
        let data = self.file.section_by_index(index)?.data()?;
        let (start, end) = (definition.offset, definition.offset + definition.size);
        let Some(code) = data.get(start as usize..end as usize) else { return Ok(()) };
        for instruction in &mut Decoder::with_ip(64, code, start, DecoderOptions::NONE) {
            let (at, next) = (instruction.ip(), instruction.next_ip());
            let mut bytes = code[(at - start) as usize..(next - start) as usize].to_vec();
            let mut names = String::new();
            let references = self.within(index, at, next);
            for reference in references {
                let (width, addend) = match object::elf::RelocationType(reference.flags) {
                    R_X86_64_PC32 | R_X86_64_PLT32 => (4, reference.addend + (next - reference.at) as i64),
                    R_X86_64_64 => (8, reference.addend),
                    _ => (4, reference.addend),
                };
                let field = (reference.at - at) as usize;
                bytes.iter_mut().skip(field).take(width).for_each(|byte| *byte = 0);
                let (name, offset) = self.describe(&reference.target, addend)?;
                names.push_str(&format!(" {name}{offset}"));
                definition.refers.insert(name);
            }
            let is_branch = instruction.op_kinds().any(|kind| kind == OpKind::NearBranch64);
            let target = instruction.near_branch_target();
            if is_branch && references.is_empty() && target != 0 && !(start..end).contains(&target) {
                let (name, offset) = self.describe(&RelocationTarget::Section(index), target as i64)?;
                // Long and short branches differ in nothing that matters.
                definition.content.push(format!("{:?} {name}{offset}", instruction.mnemonic()));
                definition.refers.insert(name);
                continue;
            }
            let bytes: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            definition.content.push(bytes + &names);
        }
        Ok(())
    }

    fn data(&self, definition: &mut Definition, index: SectionIndex) -> object::Result<()> {
        let section = self.file.section_by_index(index)?;
        let (start, end) = (definition.offset, definition.offset + definition.size);
        let mut bytes = section.data()?.get(start as usize..end as usize).unwrap_or_default().to_vec();
        for reference in self.within(index, start, end) {
            let width = match object::elf::RelocationType(reference.flags) {
                R_X86_64_32 | R_X86_64_32S | R_X86_64_PC32 => 4,
                _ => 8,
            };
            let field = (reference.at - start) as usize;
            bytes.iter_mut().skip(field).take(width).for_each(|byte| *byte = 0);
            let (name, offset) = self.describe(&reference.target, reference.addend)?;
            definition.content.push(format!("{field}: {name}{offset}"));
            definition.refers.insert(name);
        }
        definition.content.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        // What is zero has no bytes in the file.
        definition.content.push(format!("{} bytes", definition.size));
        Ok(())
    }

    /// A place by the name that is defined there and the distance from it; without one, or if it is a function's
    /// constant, by what stands there: the compiler numbers these, and a copy of the function has its own.
    fn describe(&self, target: &RelocationTarget, addend: i64) -> object::Result<(String, String)> {
        self.describe_to(target, addend, DEEPEST)
    }

    fn describe_to(
        &self,
        target: &RelocationTarget,
        addend: i64,
        depth: usize,
    ) -> object::Result<(String, String)> {
        let Some((index, place)) = self.place(target, addend)? else {
            let RelocationTarget::Symbol(symbol) = target else { return Ok((String::new(), offset(addend))) };
            return Ok((stem(self.file.symbol_by_index(*symbol)?.name()?).to_owned(), offset(addend)));
        };
        let places = self.places.get(&index).map(Vec::as_slice).unwrap_or_default();
        let section = self.file.section_by_index(index)?;
        let (start, end) = match places.iter().find(|(start, end, _)| (*start..*end).contains(&place)) {
            Some(&(start, end, name)) => {
                let distance = offset((place - start) as i64);
                if depth == 0 || !is_constant_of_a_function(name, &section)? {
                    return Ok((stem(name).to_owned(), distance));
                }
                (start, end)
            }
            None => {
                let next_name = places.iter().map(|(start, ..)| *start).find(|start| *start > place);
                let after = self.unnamed.get(&index).and_then(|all| all.range(place + 1..).next().copied());
                (place, next_name.into_iter().chain(after).min().unwrap_or(section.size()))
            }
        };
        let name = section.name()?;
        let data = section.data()?.get(start as usize..).unwrap_or_default();
        if name.contains(".str") {
            let text = String::from_utf8_lossy(data.split(|byte| *byte == 0).next().unwrap_or_default());
            return Ok((String::new(), format!("{name} {text:?}")));
        }
        let data = &data[..data.len().min(end.saturating_sub(start) as usize)];
        // What is behind the end only aligns the next.
        let length = data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let mut content: String = data[..length].iter().map(|byte| format!("{byte:02x}")).collect();
        for reference in self.within(index, start, end) {
            let (name, distance) =
                self.describe_to(&reference.target, reference.addend, depth.saturating_sub(1))?;
            content.push_str(&format!(" {}: {name}{distance}", reference.at - start));
        }
        Ok((String::new(), format!("{name} {content:?}{}", offset((place - start) as i64))))
    }

    /// The place that a reference leads to, unless it names what it means.
    fn place(&self, target: &RelocationTarget, addend: i64) -> object::Result<Option<(SectionIndex, u64)>> {
        let (index, at) = match target {
            RelocationTarget::Symbol(symbol) => {
                let symbol = self.file.symbol_by_index(*symbol)?;
                let name = symbol.name()?;
                let Some(index) = symbol.section_index() else { return Ok(None) };
                let is_place = symbol.kind() == SymbolKind::Section || name.starts_with(".L");
                if !is_place && !is_constant_of_a_function(name, &self.file.section_by_index(index)?)? {
                    return Ok(None);
                }
                (index, symbol.address() as i64 + addend)
            }
            RelocationTarget::Section(index) => (*index, addend),
            _ => return Ok(None),
        };
        Ok(Some((index, u64::try_from(at).unwrap_or_default())))
    }
}

/// Whether this is the name of a function's constant, or of one that the compiler made: it has numbered them.
fn is_constant_of_a_function<'a>(name: &str, section: &impl ObjectSection<'a>) -> object::Result<bool> {
    let is_numbered = name.rsplit_once('.').is_some_and(|(_, number)| is_number(number));
    Ok(is_numbered && section.kind() != SectionKind::Text && !is_writable(section)?)
}

/// Whether what is in a section can be written to. What is written once, as the kernel or module starts, is not written
/// by a patch's copy.
fn is_writable<'a>(section: &impl ObjectSection<'a>) -> object::Result<bool> {
    let SectionFlags::Elf { sh_flags, .. } = section.flags() else { return Ok(false) };
    Ok(sh_flags.0 & object::elf::SHF_WRITE.0 != 0 && !section.name()?.starts_with(".data.rel.ro"))
}

/// Whether it is the second name that `MODULE_DEVICE_TABLE` gives to a table.
fn is_device_table(name: &str) -> bool {
    name.starts_with("__mod_") && name.ends_with("_device_table")
}

/// Drops the second names that a module's first and last function have.
fn drop_aliases(definitions: &mut Vec<Definition>) {
    let is_alias = |name: &str| matches!(name, "init_module" | "cleanup_module");
    let named: BTreeSet<(String, u64)> = (definitions.iter())
        .filter(|definition| definition.is_code && !is_alias(&definition.name))
        .map(|definition| (definition.section.clone(), definition.offset))
        .collect();
    definitions.retain(|definition| {
        !is_alias(&definition.name) || !named.contains(&(definition.section.clone(), definition.offset))
    });
}

fn offset(distance: i64) -> String {
    if distance == 0 { String::new() } else { format!("{distance:+#x}") }
}
