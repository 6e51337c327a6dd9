//! The object of a unit: its functions and data, in a form that can be compared.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use iced_x86::{Decoder, DecoderOptions, OpKind};
use object::elf::{R_X86_64_32, R_X86_64_32S, R_X86_64_64, R_X86_64_PC32, R_X86_64_PLT32};
use object::{
    File, Object as _, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionFlags,
    SectionIndex, SymbolKind,
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
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut name = name;
    loop {
        match name.rsplit_once('.') {
            Some((rest, part)) if !rest.is_empty() && (is_number(part) || part == "cold") => name = rest,
            _ => return name,
        }
    }
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
}

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
            {
                let (start, end) = (symbol.address(), symbol.address() + symbol.size());
                places.entry(section).or_default().push((start, end, symbol.name()?));
            }
        }
        places.values_mut().for_each(|places| places.sort_unstable());
        Ok(Self { file, references, places })
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
            if symbol.size() == 0 || !(is_code || is_data) || name.starts_with("__pfx_") {
                continue;
            }
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
            let mut definition = Definition {
                name: name.to_owned(),
                section: section_name.to_owned(),
                offset: symbol.address(),
                size: symbol.size(),
                is_code,
                // What is written once, as the kernel or module starts, is not written by a patch's copy.
                is_writable: sh_flags.0 & object::elf::SHF_WRITE.0 != 0
                    && !section_name.starts_with(".data.rel.ro"),
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
        Ok(())
    }

    /// A place by the name that is defined there and the distance from it; without one, by what stands there.
    fn describe(&self, target: &RelocationTarget, addend: i64) -> object::Result<(String, String)> {
        let (index, at) = match target {
            RelocationTarget::Symbol(symbol) => {
                let symbol = self.file.symbol_by_index(*symbol)?;
                let name = symbol.name()?;
                match symbol.section_index() {
                    Some(index) if symbol.kind() == SymbolKind::Section || name.starts_with(".L") => {
                        (index, symbol.address() as i64 + addend)
                    }
                    _ => return Ok((stem(name).to_owned(), offset(addend))),
                }
            }
            RelocationTarget::Section(index) => (*index, addend),
            _ => return Ok((String::new(), offset(addend))),
        };
        let place = u64::try_from(at).unwrap_or_default();
        let places = self.places.get(&index).map(Vec::as_slice).unwrap_or_default();
        if let Some((start, _, name)) = places.iter().find(|(start, end, _)| (*start..*end).contains(&place))
        {
            return Ok((stem(name).to_owned(), offset((place - start) as i64)));
        }
        let section = self.file.section_by_index(index)?;
        let name = section.name()?;
        let data = section.data()?.get(place as usize..).unwrap_or_default();
        let content = match name.contains(".str") {
            true => {
                String::from_utf8_lossy(data.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
            }
            false => data.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        };
        Ok((String::new(), format!("{name} {content:?}")))
    }
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
