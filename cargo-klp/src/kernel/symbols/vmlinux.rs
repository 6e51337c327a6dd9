//! The symbols of the kernel itself.
//!
//! Read out of the image once, and kept in the cache as a text that is sorted by name, so that a name
//! is found without reading all of them.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use object::read::ReadCache;
use object::{Object, ObjectSegment};

use super::code::Layout;
use super::{Symbol, kallsyms, no_information};
use crate::error::{Error, Result};
use crate::host::cache;
use crate::host::sorted;
use crate::kernel::Kernel;
use crate::kernel::image::unpacked_image;

/// The symbols, and the image that has the code.
#[derive(Debug)]
pub(super) struct Vmlinux {
    image: PathBuf,
    /// A line for each symbol, sorted by name and position: `name kind position address is_init` and its
    /// number in the kernel's table.
    table: String,
    /// All addresses, sorted, once they were asked for.
    addresses: OnceCell<Vec<u64>>,
}

/// The form of the table, in the name of the cache's entry.
const VERSION: u32 = 1;

impl Vmlinux {
    /// Of a kernel whose image is on this machine.
    pub(super) fn open(kernel: &Kernel) -> Result<Self> {
        let (image, key) = image(kernel)?;
        let entry = cache::entry(format!("symbols/{key}-{VERSION}"), |dir| {
            let file = dir.join("vmlinux");
            let absolute_percpu = kernel.config("CONFIG_KALLSYMS_ABSOLUTE_PERCPU").is_some();
            fs::write(&file, lines(&read(&image, absolute_percpu)?)).map_err(Error::io("write", &file))
        })?;
        let file = entry.join("vmlinux");
        let table = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        Ok(Self { image, table, addresses: OnceCell::new() })
    }

    /// The image, unpacked.
    pub(super) fn image(&self) -> &Path {
        &self.image
    }

    /// All symbols, in the order of the kernel's table: that of addresses.
    pub(super) fn all(&self) -> Vec<Symbol> {
        let number = |line: &str| line.rsplit(' ').next()?.parse::<u32>().ok();
        let mut symbols: Vec<_> =
            self.table.lines().filter_map(|line| Some((number(line)?, symbol(line)?))).collect();
        symbols.sort_unstable_by_key(|(number, _)| *number);
        symbols.into_iter().map(|(_, symbol)| symbol).collect()
    }

    /// The symbols whose names start so and are wanted, sorted by name.
    pub(super) fn starting_with(&self, start: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<Symbol> {
        let lines = sorted::starting_with(&self.table, start);
        lines.filter_map(symbol).filter(|symbol| is_wanted(&symbol.name)).collect()
    }
}

impl Layout for Vmlinux {
    fn end(&self, function: &Symbol) -> u64 {
        let addresses = self.addresses.get_or_init(|| {
            let mut addresses: Vec<_> =
                self.table.lines().filter_map(symbol).map(|symbol| symbol.address).collect();
            addresses.sort_unstable();
            addresses
        });
        let next = addresses.partition_point(|&address| address <= function.address);
        addresses.get(next).copied().unwrap_or(function.address)
    }

    fn bytes(&self, place: &Symbol, length: usize) -> Result<Vec<u8>> {
        let io = |source| Error::Io { what: "read", path: self.image.clone(), source };
        let mut file = File::open(&self.image).map_err(io)?;
        // The headers come first; the table of segments is small.
        let mut head = vec![0; 4096];
        file.read_exact(&mut head).map_err(io)?;
        let offset = offset_in(&head, place.address).ok_or_else(|| Error::Request {
            message: format!("`{}` is not in the kernel's image", place.name),
            help: "it has no contents before the kernel is up".into(),
        })?;
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(io)?;
        Ok(bytes)
    }

    fn refers(&self, function: &Symbol, target: &Symbol) -> Result<bool> {
        let length = usize::try_from(self.end(function) - function.address).unwrap_or(0);
        let code = self.bytes(function, length)?;
        Ok(super::code::names_address(&code, function.address, &(target.address..self.end(target))))
    }
}

/// Where in the file of an image an address is.
fn offset_in(head: &[u8], address: u64) -> Option<u64> {
    const SEGMENTS: usize = 32;
    const SIZE: usize = 56;
    let number = |at: usize| Some(u64::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let count = u16::from_le_bytes(*head.get(56..)?.first_chunk()?);
    let table = usize::try_from(number(SEGMENTS)?).ok()?;
    (0..usize::from(count)).find_map(|index| {
        let segment = table + SIZE * index;
        let is_loaded = head.get(segment..)?.first_chunk() == Some(&1u32.to_le_bytes());
        let (offset, start, length) = (number(segment + 8)?, number(segment + 16)?, number(segment + 32)?);
        let inside = address.checked_sub(start).filter(|&inside| is_loaded && inside < length)?;
        Some(offset + inside)
    })
}

/// The kernel's image as an ELF file, and what it is called in the cache.
fn image(kernel: &Kernel) -> Result<(PathBuf, String)> {
    if let Some(packed) = &kernel.packed_image() {
        if let Some(entry) = unpacked_image(kernel, packed)? {
            let key = entry.parent().and_then(Path::file_name).expect("an entry of the cache has a name");
            let key = key.to_string_lossy().into_owned();
            return Ok((entry, key));
        }
        return Err(no_information(
            kernel,
            super::VMLINUX,
            &format!("`{}` is in no form that this cargo-klp knows", packed.display()),
            "it must be compressed with xz or zstd".into(),
        ));
    }
    let built = kernel.kdir.join("vmlinux");
    if has_code(&built) {
        let key = format!("{}-{}", kernel.release, cache::hash(&built));
        return Ok((built, key));
    }
    Err(Error::NoKernel {
        wanted: format!(
            "{} with its image, or its `vmlinux` where it was built, which has the symbols that the patch needs",
            kernel.release
        ),
        series: kernel.release.clone(),
        available: Vec::new(),
    })
}

/// Whether a build directory's `vmlinux` is the kernel, as where it was built: that of packages with headers has
/// types only.
fn has_code(vmlinux: &Path) -> bool {
    let Ok(file) = File::open(vmlinux) else { return false };
    let parts = ReadCache::new(file);
    object::File::parse(&parts).is_ok_and(|file| file.section_by_name(".text").is_some())
}

/// Reads the table of an image.
fn read(image: &Path, absolute_percpu: bool) -> Result<Vec<kallsyms::Entry>> {
    let data = fs::read(image).map_err(Error::io("read", image))?;
    let file = object::File::parse(&*data).map_err(Error::elf("read the kernel's image"))?;
    let mut first = None;
    for segment in file.segments() {
        let data = segment.data().map_err(Error::elf("read the kernel's image"))?;
        match kallsyms::read(data, absolute_percpu) {
            Ok(entries) => return Ok(entries),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first
        .unwrap_or_else(|| Error::NotAKernelDir { path: image.into(), why: "the image is empty".into() }))
}

/// The lines of the cache.
fn lines(entries: &[kallsyms::Entry]) -> String {
    let address = |name| entries.iter().find(|entry| entry.name == name).map(|entry| entry.address);
    let init = address("__init_begin").zip(address("__init_end"));
    let is_init = |at: u64| init.is_some_and(|(start, end)| (start..end).contains(&at));
    let mut positions = HashMap::new();
    let mut lines: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(number, kallsyms::Entry { name, kind, address })| {
            let position = positions.entry(name).or_insert(0u64);
            *position += 1;
            (name, *position, *kind, *address, number)
        })
        .collect();
    lines.sort();
    let line = |(name, position, kind, address, number): (&String, u64, char, u64, usize)| {
        let is_init = u8::from(is_init(address));
        format!("{name} {kind} {position} {address:x} {is_init} {number}\n")
    };
    lines.into_iter().map(line).collect()
}

/// The symbol of a line.
fn symbol(line: &str) -> Option<Symbol> {
    let mut fields = line.split(' ');
    Some(Symbol {
        name: fields.next()?.into(),
        kind: fields.next()?.chars().next()?,
        section: None,
        position: fields.next()?.parse().ok()?,
        address: u64::from_str_radix(fields.next()?, 16).ok()?,
        is_init: fields.next()? == "1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vmlinux(symbols: &[(&str, char, u64)]) -> Vmlinux {
        let entry = |&(name, kind, address): &(&str, _, _)| kallsyms::Entry {
            name: str::to_owned(name),
            kind,
            address,
        };
        let entries: Vec<_> = symbols.iter().map(entry).collect();
        Vmlinux { image: PathBuf::new(), table: lines(&entries), addresses: OnceCell::new() }
    }

    #[test]
    fn names_are_found() {
        let vmlinux = vmlinux(&[
            ("first", 't', 1),
            ("b", 'T', 2),
            ("first", 't', 3),
            ("first.cold", 't', 4),
            ("__init_begin", 'T', 5),
            ("a", 'd', 6),
            ("__init_end", 'T', 7),
            ("zz", 'd', 8),
            ("same", 'd', 8),
        ]);
        let named = |name: &str| {
            let found = vmlinux.starting_with(name, |found| found == name);
            found.iter().map(|symbol| (symbol.position, symbol.address)).collect::<Vec<_>>()
        };
        assert_eq!(named("first"), [(1, 1), (2, 3)]);
        assert_eq!(named("a"), [(1, 6)]);
        assert_eq!(named("zz"), [(1, 8)]);
        for absent in ["", "0", "firs", "first.", "zzz"] {
            assert_eq!(named(absent), [], "{absent}");
        }
        assert_eq!(vmlinux.starting_with("first", |_| true).len(), 3);
        assert!(vmlinux.starting_with("a", |_| true)[0].is_init);
        assert!(!vmlinux.starting_with("zz", |_| true)[0].is_init);
        let addresses: Vec<_> = vmlinux.all().iter().map(|symbol| symbol.address).collect();
        assert_eq!(addresses, [1, 2, 3, 4, 5, 6, 7, 8, 8]);
        assert_eq!(vmlinux.all()[8].name, "same");
        assert_eq!(vmlinux.end(&vmlinux.starting_with("b", |_| true)[0]), 3);
    }
}
