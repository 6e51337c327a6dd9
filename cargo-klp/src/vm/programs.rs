//! The programs that start a guest.

use std::fs;
use std::path::{Path, PathBuf};

use object::elf::PT_INTERP;
use object::read::elf::{ElfFile64, ProgramHeader};

use crate::error::{Error, Result};
use crate::host::cache;
use crate::host::debian::{Apt, Debian};
use crate::host::report::Reporter;
use crate::kernel::Arch;

/// A busybox of an architecture that needs no library, as the guest's first program must.
pub fn static_busybox(arch: &Arch) -> Result<PathBuf> {
    let found = if arch.is_foreign() {
        Some(fetched(&cache::root()?.join(key(arch)))).filter(|path| path.exists())
    } else {
        ["/bin/busybox", "/usr/sbin/busybox", "/usr/bin/busybox-static", "/usr/local/bin/busybox"]
            .into_iter()
            .map(PathBuf::from)
            .find(|path| is_static(path))
    };
    found.ok_or_else(|| Error::Missing {
        what: format!("a statically linked busybox for {}", arch.name),
        needed_for: "it starts the guest".into(),
    })
}

/// Fetches the busybox of another architecture from Debian's archive into the cache.
pub fn fetch_busybox(arch: &Arch, reporter: &dyn Reporter) -> Result<PathBuf> {
    let entry = cache::entry(key(arch), |dir| {
        let apt = Apt::of_architecture(Debian::of_this_machine(), arch.debian, reporter)?;
        apt.download_and_extract("busybox-static", None, dir)
    })?;
    Ok(fetched(&entry))
}

fn key(arch: &Arch) -> PathBuf {
    Path::new("busybox").join(arch.debian)
}

/// Where Debian's package has it: below `usr` since Debian 13.
fn fetched(entry: &Path) -> PathBuf {
    let old = entry.join("bin/busybox");
    if old.exists() { old } else { entry.join("usr/bin/busybox") }
}

fn is_static(program: &Path) -> bool {
    let Ok(data) = fs::read(program) else { return false };
    ElfFile64::<object::Endianness>::parse(&*data).is_ok_and(|elf| {
        elf.elf_program_headers().iter().all(|header| header.p_type(elf.endian()) != PT_INTERP)
    })
}
