//! What QEMU takes for a kernel.

use std::fs;
use std::path::{Path, PathBuf};

use object::LittleEndian;
use object::elf::{ELFMAG, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::error::{Error, Result};
use crate::host::cache;
use crate::host::digest::Digest;
use crate::kernel::Kernel;
use crate::kernel::image::boot_image;

/// The file that QEMU boots the kernel from.
pub fn of(kernel: &Kernel, image: &Path) -> Result<PathBuf> {
    if kernel.arch().qemu.boots_elf {
        return boot_image(kernel, image);
    }
    let data = fs::read(image).map_err(Error::io("read", image))?;
    if !data.starts_with(&ELFMAG) {
        return Ok(image.into());
    }
    let key = format!("boot/{}-{}-flat", kernel.release, Digest::of(&data));
    let entry = cache::entry(key, |dir| {
        let flat = flat(&data).map_err(|what| cache::unusable(image, what))?;
        let file = dir.join("Image");
        fs::write(&file, flat).map_err(Error::io("write", &file))
    })?;
    Ok(entry.join("Image"))
}

/// The memory that an ELF file describes, from its first address on.
fn flat(elf: &[u8]) -> Result<Vec<u8>, String> {
    let damaged = |error: object::Error| error.to_string();
    let header = FileHeader64::<LittleEndian>::parse(elf).map_err(damaged)?;
    let segments = header.program_headers(LittleEndian, elf).map_err(damaged)?;
    // One without contents need not have an address.
    let loaded = || {
        let in_file = |segment: &&_| ProgramHeader::p_filesz(*segment, LittleEndian) > 0;
        segments.iter().filter(in_file).filter(|segment| segment.p_type(LittleEndian) == PT_LOAD)
    };
    let start = loaded().map(|segment| segment.p_vaddr(LittleEndian)).min().unwrap_or_default();
    let mut memory = Vec::new();
    for segment in loaded() {
        let data = segment.data(LittleEndian, elf).map_err(|()| "it is cut off")?;
        let at = usize::try_from(segment.p_vaddr(LittleEndian) - start).map_err(|error| error.to_string())?;
        let end =
            at.checked_add(data.len()).filter(|end| *end <= LARGEST).ok_or("it has no form of an image")?;
        if memory.len() < end {
            memory.resize(end, 0);
        }
        memory[at..end].copy_from_slice(data);
    }
    Ok(memory)
}

/// More than any kernel takes.
const LARGEST: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use object::write::elf::{FileHeader, ProgramHeader, Writer};

    use super::*;

    /// An ELF file with these segments: their addresses and contents.
    fn elf(segments: &[(u64, &[u8])]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::new(object::Endianness::Little, true, &mut file);
        writer.reserve_file_header();
        writer.reserve_program_headers(segments.len() as u32);
        let offsets: Vec<_> = segments.iter().map(|(_, data)| writer.reserve(data.len() as u64, 1)).collect();
        writer
            .write_file_header(&FileHeader {
                os_abi: object::elf::ELFOSABI_NONE,
                abi_version: 0,
                e_type: object::elf::ET_EXEC,
                e_machine: object::elf::EM_AARCH64,
                e_entry: 0,
                e_flags: object::elf::FileFlags(0),
            })
            .unwrap();
        writer.write_align_program_headers();
        for ((address, data), offset) in segments.iter().zip(&offsets) {
            writer.write_program_header(&ProgramHeader {
                p_type: PT_LOAD,
                p_flags: object::elf::ProgramFlags(0),
                p_offset: *offset,
                p_vaddr: *address,
                p_paddr: *address,
                p_filesz: data.len() as u64,
                p_memsz: data.len() as u64,
                p_align: 1,
            });
        }
        for (_, data) in segments {
            writer.write(data);
        }
        file
    }

    #[test]
    fn segments_stand_where_their_addresses_say() {
        let file = elf(&[(0xffff_8000_8000_0000, b"text"), (0xffff_8000_8000_0008, b"data"), (0, b"")]);
        assert_eq!(flat(&file).unwrap(), b"text\0\0\0\0data");
    }

    #[test]
    fn no_file_makes_klp_take_any_memory() {
        assert!(flat(&elf(&[(0, b"a"), (1 << 40, b"b")])).is_err());
        let mut cut = elf(&[(0, b"text")]);
        cut.truncate(cut.len() - 1);
        assert_eq!(flat(&cut).unwrap_err(), "it is cut off");
    }
}
