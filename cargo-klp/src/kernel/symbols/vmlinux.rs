//! The symbols of the kernel itself.
//!
//! Read out of the image once, and kept in the cache as a [`Table`].

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use object::read::ReadCache;
use object::{Object, ObjectSegment};

use super::code::Layout;
use super::table::Table;
use super::{Symbol, kallsyms, no_information};
use crate::error::{Error, Result};
use crate::host::cache::{self, unusable};
use crate::kernel::image::unpacked_image;
use crate::kernel::{Arch, Kernel};

/// The symbols, and the image with the code.
#[derive(Debug)]
pub(super) struct Vmlinux {
    image: PathBuf,
    arch: &'static Arch,
    table: Table,
    /// All addresses, sorted; made on first use.
    addresses: OnceCell<Vec<u64>>,
}

/// The form of the table, in the name of the cache's entry.
const VERSION: u32 = 2;

impl Vmlinux {
    /// Reads those of a kernel whose image is on this machine.
    pub(super) fn open(kernel: &Kernel) -> Result<Self> {
        let (image, key) = image(kernel)?;
        let entry = cache::entry(format!("symbols/{key}-{VERSION}"), |dir| {
            let file = dir.join("vmlinux");
            let absolute_percpu = kernel.config("CONFIG_KALLSYMS_ABSOLUTE_PERCPU").is_some();
            let entries = read(&image, kernel.arch(), absolute_percpu)?;
            fs::write(&file, Table::of(&entries).text()).map_err(Error::io("write", &file))
        })?;
        let table = Table::read(&entry.join("vmlinux"))?;
        Ok(Self { image, arch: kernel.arch(), table, addresses: OnceCell::new() })
    }

    /// The kernel's architecture.
    pub(super) fn arch(&self) -> &'static Arch {
        self.arch
    }

    /// The unpacked image.
    pub(super) fn image(&self) -> &Path {
        &self.image
    }

    /// The symbols.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }
}

impl Layout for Vmlinux {
    fn end(&self, function: &Symbol) -> u64 {
        let addresses = self.addresses.get_or_init(|| self.table.addresses());
        let next = addresses.partition_point(|&address| address <= function.address);
        addresses.get(next).copied().unwrap_or(function.address)
    }

    fn bytes(&self, place: &Symbol, length: usize) -> Result<Vec<u8>> {
        let io = |source| Error::Io { what: "read", path: self.image.clone(), source };
        let mut file = File::open(&self.image).map_err(io)?;
        // The headers come first; the table of segments is small.
        let mut head = Vec::new();
        (&mut file).take(4096).read_to_end(&mut head).map_err(io)?;
        let offset = offset_in(&head, place.address).ok_or_else(|| Error::Request {
            message: format!("`{}` is not in the kernel's image", place.name),
            help: "it has no contents before the kernel runs".into(),
        })?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        file.take(length as u64).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() < length {
            return Err(unusable(&self.image, format_args!("it ends before `{}` does", place.name)));
        }
        Ok(bytes)
    }

    fn refers(&self, function: &Symbol, target: &Symbol) -> Result<bool> {
        let length = usize::try_from(self.end(function) - function.address).unwrap_or(0);
        let code = self.bytes(function, length)?;
        Ok(self.arch.code.names(&code, function.address, &(target.address..self.end(target))))
    }
}

/// The offset of an address in the file of an image.
fn offset_in(head: &[u8], address: u64) -> Option<u64> {
    const SEGMENTS: usize = 32;
    const SIZE: usize = 56;
    let number = |at: usize| Some(u64::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let count = u16::from_le_bytes(*head.get(56..)?.first_chunk()?);
    let table = usize::try_from(number(SEGMENTS)?).ok()?;
    (0..usize::from(count)).find_map(|index| {
        let segment = table.checked_add(SIZE * index)?;
        let is_loaded = head.get(segment..)?.first_chunk() == Some(&1u32.to_le_bytes());
        let (offset, start, length) = (number(segment + 8)?, number(segment + 16)?, number(segment + 32)?);
        let inside = address.checked_sub(start).filter(|&inside| is_loaded && inside < length)?;
        offset.checked_add(inside)
    })
}

/// The kernel's image as an ELF file, and its name in the cache.
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
            &format!("`{}` is compressed in a way that this cargo-klp does not know", packed.display()),
            "it must be compressed with gzip, xz or zstd".into(),
        ));
    }
    if let Some(built) = built(kernel) {
        let key = format!("{}-{}", kernel.release, cache::hash(&built));
        return Ok((built, key));
    }
    Err(Error::NoKernel {
        wanted: format!(
            "{} with its image, or its `vmlinux` in its build tree, for the symbols that the patch needs",
            kernel.release
        ),
        series: kernel.release.clone(),
        available: Vec::new(),
    })
}

/// The file that the symbols of a kernel are read from, if this machine has one.
pub(crate) fn image_file(kernel: &Kernel) -> Option<PathBuf> {
    kernel.packed_image().or_else(|| built(kernel))
}

/// The whole kernel in its build directory.
fn built(kernel: &Kernel) -> Option<PathBuf> {
    Some(kernel.kdir.join("vmlinux")).filter(|vmlinux| has_code(vmlinux))
}

/// Whether a build directory's `vmlinux` is the whole kernel, as in a build tree: the `vmlinux` in packages with
/// headers has types only.
fn has_code(vmlinux: &Path) -> bool {
    let Ok(file) = File::open(vmlinux) else { return false };
    let parts = ReadCache::new(file);
    object::File::parse(&parts).is_ok_and(|file| file.section_by_name(".text").is_some())
}

/// Reads the table of an image.
fn read(image: &Path, arch: &Arch, absolute_percpu: bool) -> Result<Vec<kallsyms::Entry>> {
    let data = fs::read(image).map_err(Error::io("read", image))?;
    let file = object::File::parse(&*data).map_err(|error| unusable(image, error))?;
    let mut first = None;
    for segment in file.segments() {
        let data = segment.data().map_err(|error| unusable(image, error))?;
        match kallsyms::read(data, segment.address(), arch.kernel_start, absolute_percpu) {
            Ok(entries) => return Ok(entries),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| unusable(image, "it has no segments, so no kernel")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers of an image may say anything.
    #[test]
    fn segments_may_be_anywhere() {
        let mut head = vec![0; 64];
        head[56] = 1;
        head[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(offset_in(&head, 8), None);
        // One segment, behind the header; its place in the file, then its address and its size.
        head[32..40].copy_from_slice(&64u64.to_le_bytes());
        for number in [1, u64::MAX, 0, 0, 100, 0, 0] {
            head.extend(number.to_le_bytes());
        }
        assert_eq!(offset_in(&head, 8), None);
        head[72..80].copy_from_slice(&4096u64.to_le_bytes());
        assert_eq!(offset_in(&head, 8), Some(4104));
    }
}
