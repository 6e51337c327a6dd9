//! The types of a kernel: its BTF, in a file of its own in the cache.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use klp_btf::Types;
use object::read::ReadCache;
use object::{Object as _, ObjectSection};

use crate::cache;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::symbols;

/// The file with the BTF of a kernel; `None` where nothing on this machine has it.
///
/// The image has it, and so have Debian's headers from 6.12 on.
pub fn file(kernel: &Kernel) -> Result<Option<PathBuf>> {
    let image = match kernel.packed_image() {
        Some(packed) => crate::vm::unpacked_image(kernel, &packed)?,
        None => None,
    };
    for elf in image.into_iter().chain([kernel.kdir.join("vmlinux")]) {
        if let Some(file) = extracted(kernel, &elf)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The types of a kernel; `None` where nothing on this machine has them.
pub fn of_kernel(kernel: &Kernel) -> Result<Option<Types>> {
    file(kernel)?.map(|file| Types::open(&file).map_err(Error::btf(&kernel.release))).transpose()
}

/// The types of a module on top of those of its kernel; `None` where it has none.
pub fn of_module(module: &symbols::Object<'_>, base: &Types) -> Result<Option<Types>> {
    let Some(data) = module.btf()? else { return Ok(None) };
    base.module(&data).map(Some).map_err(Error::btf(&module.name))
}

/// The BTF of an ELF file, in the cache; `None` where it has none.
fn extracted(kernel: &Kernel, elf: &Path) -> Result<Option<PathBuf>> {
    let Ok(metadata) = fs::metadata(elf) else { return Ok(None) };
    let mut hasher = DefaultHasher::new();
    (elf, metadata.len(), metadata.modified().ok()).hash(&mut hasher);
    let key = format!("btf/{}-{:016x}", kernel.release, hasher.finish());
    let entry = cache::entry(key, |dir| {
        let file = dir.join("vmlinux");
        fs::write(&file, section(elf)?).map_err(Error::io("write", &file))
    })?;
    let file = entry.join("vmlinux");
    let is_empty = fs::metadata(&file).is_ok_and(|metadata| metadata.len() == 0);
    Ok((!is_empty).then_some(file))
}

/// The section of an ELF file; empty where it has none.
fn section(elf: &Path) -> Result<Vec<u8>> {
    let parts = ReadCache::new(fs::File::open(elf).map_err(Error::io("open", elf))?);
    let read = || {
        let file = object::File::parse(&parts)?;
        file.section_by_name(".BTF").map_or(Ok(Vec::new()), |section| section.data().map(<[u8]>::to_vec))
    };
    read().map_err(Error::elf("read the BTF of a kernel"))
}
