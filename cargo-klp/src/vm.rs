//! Boots kernels in QEMU.

use std::fs;
use std::path::{Path, PathBuf};

use object::elf::PT_INTERP;
use object::read::elf::{ElfFile64, ProgramHeader};

use crate::error::{Error, Result};

/// The program that boots kernels.
pub const QEMU: &str = "qemu-system-x86_64";

/// A busybox that runs without any library, as the first program in the guest must.
pub fn static_busybox() -> Result<PathBuf> {
    ["/bin/busybox", "/usr/local/bin/busybox"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| is_static(path))
        .ok_or_else(|| Error::Missing {
            what: "a statically linked busybox".into(),
            needed_for: "it starts the guest".into(),
        })
}

fn is_static(program: &Path) -> bool {
    let Ok(data) = fs::read(program) else { return false };
    ElfFile64::<object::Endianness>::parse(&*data).is_ok_and(|elf| {
        elf.elf_program_headers().iter().all(|header| header.p_type(elf.endian()) != PT_INTERP)
    })
}
