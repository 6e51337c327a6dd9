//! The symbols of a module, as the kernel has them once the module is loaded.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use object::elf::{
    FileHeader64, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHN_LORESERVE, SHN_UNDEF, SHT_NOBITS, STB_WEAK,
    STT_OBJECT, SectionFlags, SectionHeader64, Sym64,
};
use object::read::elf::{FileHeader, Rela, SectionHeader, SectionTable, Sym};
use object::{LittleEndian, SectionIndex, SymbolIndex};

use super::code::Layout;
use super::nearest::{message, nearest};
use super::{Export, NAME_LENGTH, Symbol, no_information};
use crate::error::{Error, Result};
use crate::host::cache::unusable;
use crate::kernel::arch::{Arch, Unapplied};
use crate::kernel::{Kernel, Target};

/// A module's file and its symbols.
#[derive(Debug)]
pub(super) struct Module {
    file: PathBuf,
    data: Vec<u8>,
    arch: &'static Arch,
    symbols: Vec<Symbol>,
}

/// The file of a module, by its name in the kernel: a given one, or the kernel's own.
///
/// # Errors
///
/// [`Error::NoModule`] if the kernel has no such module; another error if this machine lacks the kernel's modules.
pub(super) fn find(target: &Target, name: &str) -> Result<PathBuf> {
    let Target { kernel, modules, .. } = target;
    if let Some(file) = modules.iter().find(|file| is_module(&file.to_string_lossy(), name)) {
        return Ok(file.clone());
    }
    let Some(directory) = kernel.modules_dir() else {
        let help = format!(
            "`cargo klp doctor --fix --kernel {}` gets the kernel's own modules; `--module PATH` names the file of another",
            kernel.release
        );
        return Err(no_information(kernel, name, "its modules are not on this machine", help));
    };
    let own = own(&directory)?;
    if let Some(file) = own.iter().find(|file| is_module(file, name)) {
        return Ok(directory.join(file));
    }
    let no_module = |why: String, help: String| Error::NoModule {
        release: kernel.release.clone(),
        name: name.into(),
        why,
        help,
    };
    if is_builtin(&directory, name) {
        let help = "leave `object` out: its symbols belong to vmlinux".into();
        return Err(no_module("it is built in".into(), help));
    }
    // Names of files may have dashes for the underscores in names of modules.
    let wanted = name.replace('-', "_");
    let names = own.iter().map(|file| self::name(file));
    let known = modules.iter().map(|file| self::name(&file.to_string_lossy())).chain(names);
    let near = if wanted == name { nearest(name, known) } else { vec![wanted] };
    let why = match &*near {
        [] => "no module there has a similar name".into(),
        near => message("there", near),
    };
    let help = format!(
        "give the file of a module that is not the kernel's own with `--module PATH` (`KLP_MODULES=PATH` with make), or \
         leave one that this machine lacks unchecked with `--unknown-module {name}` (`KLP_UNKNOWN_MODULES={name}`)"
    );
    Err(no_module(why, help))
}

/// Whether a module is built into the kernel.
fn is_builtin(directory: &Path, name: &str) -> bool {
    fs::read_to_string(directory.join("modules.builtin"))
        .is_ok_and(|list| list.lines().any(|file| is_module(file, name)))
}

/// Whether a module of this name comes with the kernel, or is built into it.
pub(super) fn is_own(kernel: &Kernel, name: &str) -> bool {
    let Some(directory) = kernel.modules_dir() else { return false };
    is_builtin(&directory, name)
        || own(&directory).is_ok_and(|files| files.iter().any(|file| is_module(file, name)))
}

/// The files of a kernel's own modules, in its `lib/modules/RELEASE`.
pub(super) fn own(directory: &Path) -> Result<Vec<String>> {
    let list = directory.join("modules.dep");
    let text = fs::read_to_string(&list).map_err(Error::io("read", list))?;
    Ok(text.lines().filter_map(|line| line.split(':').next()).map(str::to_owned).collect())
}

/// The name in the kernel of the module in a file; empty if the file is not a module.
pub(super) fn name(file: &str) -> String {
    let file = file.rsplit('/').next().unwrap_or_default();
    file.split_once(".ko").map_or_else(String::new, |(stem, _)| stem.replace('-', "_"))
}

/// Whether a file is the module of this name.
fn is_module(file: &str, wanted: &str) -> bool {
    name(file) == wanted
}

impl Module {
    /// Reads a `.ko`, which may be compressed.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let packed = fs::read(file).map_err(|error| unusable(file, error))?;
        let data = crate::kernel::image::decompress(&packed).map_err(|error| unusable(file, error))?;
        Self::new(file, data)
    }

    /// By what a file has, unpacked.
    pub(super) fn new(file: &Path, data: Vec<u8>) -> Result<Self> {
        let symbols = symbols(&data).map_err(|error| unusable(file, error))?;
        let arch = Arch::of_elf(&data)
            .ok_or_else(|| unusable(file, format_args!("it is neither for {}", Arch::names())))?;
        Ok(Self { file: file.into(), data, arch, symbols })
    }

    /// The symbols in the order of the file, which is also the kernel's.
    pub(super) fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The architecture that it is for.
    pub(super) fn arch(&self) -> &'static Arch {
        self.arch
    }

    /// The unpacked contents of the file.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The module's own BTF; `None` unless it has BTF that continues the kernel's.
    pub(super) fn btf(&self) -> Result<Option<Vec<u8>>> {
        let read = || {
            let sections = Header::parse(&*self.data)?.sections(LE, &*self.data)?;
            // Newer tools give a module of one's own a base of its own (`distilled_base`), whose numbers of types are
            // not those of the kernel.
            if sections.section_by_name(LE, b".BTF.base").is_some() {
                return Ok(None);
            }
            let section = sections.section_by_name(LE, b".BTF");
            section.map(|(_, section)| section.data(LE, &*self.data).map(<[u8]>::to_vec)).transpose()
        };
        read().map_err(Error::elf("read a module's BTF"))
    }

    /// Whether a symbol is in the per-CPU section.
    pub(super) fn is_per_cpu(&self, symbol: &Symbol) -> bool {
        let name_of = |index: usize| {
            let sections = Header::parse(&*self.data).ok()?.sections(LE, &*self.data).ok()?;
            let section = sections.section(SectionIndex(index)).ok()?;
            sections.section_name(LE, section).ok()
        };
        symbol.section.and_then(name_of) == Some(b".data..percpu")
    }

    /// How the module exports a name, if it does.
    pub(super) fn export(&self, name: &str) -> Option<Export> {
        let entry = format!("{EXPORT}{name}");
        let is_exported = self.symbols.iter().any(|symbol| symbol.name == entry);
        is_exported.then(|| Export {
            object: self::name(&self.file.to_string_lossy()),
            namespace: self.namespace(name),
        })
    }

    /// The namespace of an export: a string with a symbol of its own.
    fn namespace(&self, name: &str) -> Option<String> {
        let symbol = format!("{NAMESPACE}{name}");
        let symbol = self.symbols.iter().find(|other| other.name == symbol)?;
        let sections = Header::parse(&*self.data).ok()?.sections(LE, &*self.data).ok()?;
        let strings = sections.section(SectionIndex(symbol.section?)).ok()?.data(LE, &*self.data).ok()?;
        let start = strings.get(usize::try_from(symbol.address).ok()?..)?;
        let namespace = start.split(|byte| *byte == 0).next().filter(|namespace| !namespace.is_empty())?;
        Some(String::from_utf8_lossy(namespace).into_owned())
    }
}

/// The prefix of the name of an export's own symbol.
const EXPORT: &str = "__ksymtab_";

/// How the name of the symbol of an export's namespace starts.
const NAMESPACE: &str = "__kstrtabns_";

type Header = FileHeader64<LittleEndian>;

const LE: LittleEndian = LittleEndian;

/// The symbols of a module that the kernel keeps, with the letters that it shows: `kernel/module/kallsyms.c`.
fn symbols(data: &[u8]) -> object::Result<Vec<Symbol>> {
    let header = Header::parse(data)?;
    let sections = header.sections(LE, data)?;
    let table = sections.symbols(LE, data, object::elf::SHT_SYMTAB)?;
    let (mut positions, mut exported) = (HashMap::new(), HashSet::new());
    let mut symbols = Vec::new();
    for symbol in table.iter() {
        let index = symbol.st_shndx(LE);
        if index == SHN_UNDEF || index.0 >= SHN_LORESERVE {
            continue;
        }
        let section = sections.section(SectionIndex(index.0.into()))?;
        let section_name = sections.section_name(LE, section)?;
        // The loader reads these two sections but does not keep them.
        let is_kept =
            section.sh_flags(LE).0 & SHF_ALLOC.0 != 0 && !matches!(section_name, b".modinfo" | b"__versions");
        let name = table.symbol_name(LE, symbol)?;
        if name.is_empty() || name.len() >= NAME_LENGTH || !is_kept {
            continue;
        }
        let name = String::from_utf8_lossy(name).into_owned();
        // The kernel only considers exports that are not restricted to GPL modules.
        if let (b"__ksymtab", Some(exported_name)) = (section_name, name.strip_prefix(EXPORT)) {
            exported.insert(exported_name.to_owned());
        }
        let position = positions.entry(name.clone()).or_insert(0);
        *position += 1;
        symbols.push(Symbol {
            kind: kind(symbol, section, section_name),
            section: Some(index.0.into()),
            address: symbol.st_value(LE),
            position: *position,
            is_init: section_name.starts_with(b".init"),
            name,
        });
    }
    for symbol in symbols.iter_mut().filter(|symbol| exported.contains(&symbol.name)) {
        symbol.kind = symbol.kind.to_ascii_uppercase();
    }
    Ok(symbols)
}

/// `elf_type`.
fn kind(symbol: &Sym64<LittleEndian>, section: &SectionHeader64<LittleEndian>, section_name: &[u8]) -> char {
    let has = |flag: SectionFlags| section.sh_flags(LE).0 & flag.0 != 0;
    match () {
        () if symbol.st_bind() == STB_WEAK && symbol.st_type() == STT_OBJECT => 'v',
        () if symbol.st_bind() == STB_WEAK => 'w',
        () if section_name == b".data..percpu" => 'a',
        () if has(SHF_EXECINSTR) => 't',
        () if section.sh_type(LE) == SHT_NOBITS => 'b',
        () if has(SHF_WRITE) => 'd',
        () => 'r',
    }
}

impl Layout for Module {
    fn end(&self, function: &Symbol) -> u64 {
        let size = || {
            let sections = Header::parse(&*self.data).ok()?.sections(LE, &*self.data).ok()?;
            Some(sections.section(SectionIndex(function.section?)).ok()?.sh_size(LE))
        };
        let same = self.symbols.iter().filter(|symbol| symbol.section == function.section);
        let later = same.map(|symbol| symbol.address).filter(|&address| address > function.address);
        later.min().or_else(size).map_or(function.address, |end| end.max(function.address))
    }

    fn bytes(&self, place: &Symbol, length: usize) -> Result<Vec<u8>> {
        let read = || {
            let sections = Header::parse(&*self.data)?.sections(LE, &*self.data)?;
            let section = sections.section(SectionIndex(place.section.unwrap_or_default()))?;
            let data = section.data(LE, &*self.data)?;
            let start = usize::try_from(place.address).unwrap_or(usize::MAX);
            Ok(data.get(start..).and_then(|data| data.get(..length)).unwrap_or_default().to_vec())
        };
        read().map_err(Error::elf("read the code of a module"))
    }

    /// By the relocations of the code, with sections at addresses that no module has.
    fn refers(&self, function: &Symbol, target: &Symbol) -> Result<bool> {
        let read = || {
            let sections = Header::parse(&*self.data)?.sections(LE, &*self.data)?;
            let table = sections.symbols(LE, &*self.data, object::elf::SHT_SYMTAB)?;
            let starts = starts(&sections);
            let start = |section: Option<usize>| Some(*starts.get(section?)?);
            let (Some(of_code), Some(of_target)) = (start(function.section), start(target.section)) else {
                return Ok(None);
            };
            let code = function.address..self.end(function);
            let mut found = Vec::new();
            for section in
                sections.iter().filter(|section| Some(section.sh_info(LE) as usize) == function.section)
            {
                let Some((relocations, _)) = section.rela(LE, &*self.data)? else { continue };
                for relocation in
                    relocations.iter().filter(|relocation| code.contains(&relocation.r_offset(LE)))
                {
                    let symbol = table.symbol(SymbolIndex(relocation.r_sym(LE, false) as usize))?;
                    if Some(usize::from(symbol.st_shndx(LE).0)) == target.section {
                        let named = symbol.st_value(LE).wrapping_add_signed(relocation.r_addend(LE));
                        found.push(Unapplied {
                            offset: relocation.r_offset(LE) - code.start,
                            kind: relocation.r_type(LE, false),
                            value: of_target.wrapping_add(named),
                        });
                    }
                }
            }
            let at = of_code.wrapping_add(code.start);
            let named = of_target.wrapping_add(target.address)..of_target.wrapping_add(self.end(target));
            Ok(Some((at, found, named)))
        };
        let found = read().map_err(Error::elf("read the relocations of a module"))?;
        let Some((at, relocations, targets)) = found else { return Ok(false) };
        let length = usize::try_from(self.end(function) - function.address).unwrap_or(0);
        let code = self.bytes(function, length)?;
        Ok(self.arch.code.names_by_relocations(&code, at, &relocations, &targets))
    }
}

/// Addresses for the sections of a module: each begins a page of its own.
fn starts(sections: &SectionTable<'_, Header>) -> Vec<u64> {
    const PAGE: u64 = 4096;
    let mut next = PAGE;
    let start = |section: &SectionHeader64<LittleEndian>| {
        let start = next;
        next = next.saturating_add(section.sh_size(LE)).checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
        start
    };
    sections.iter().map(start).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_modules() {
        assert!(is_module("kernel/net/netfilter/nf-tables.ko.xz", "nf_tables"));
        assert!(is_module("nf_tables.ko", "nf_tables"));
        assert!(!is_module("kernel/nf_tables_x.ko", "nf_tables"));
        assert!(!is_module("kernel/nf_tables.c", "nf_tables"));
    }

    /// A symbol may stand behind its section, and have any name.
    #[test]
    fn symbols_of_a_damaged_module() {
        use object::build::elf::Builder;
        let data = crate::kernel::example::module(&["first", "second"], &[]);
        let mut builder = Builder::read(&*data).unwrap();
        let text = builder.sections.iter().find(|section| &*section.name == b".text").unwrap().id();
        for symbol in builder.symbols.iter_mut().filter(|symbol| symbol.name.ends_with(b"d")) {
            (symbol.section, symbol.st_value) = (Some(text), 1000);
        }
        for symbol in builder.symbols.iter_mut().filter(|symbol| symbol.name.ends_with(b"t")) {
            (symbol.section, symbol.name) = (Some(text), vec![b'x'; 2 * NAME_LENGTH].into());
        }
        let mut damaged = Vec::new();
        builder.write(&mut damaged).unwrap();
        let module = super::super::Object::module("x", damaged).unwrap();
        let [second] = &*module.all() else { panic!("{:?}", module.all()) };
        assert_eq!((&*second.name, second.address), ("second", 1000));
        assert_eq!(module.entry_length(second).unwrap(), None);
        assert!(!module.refers(second, second).unwrap());
    }
}
