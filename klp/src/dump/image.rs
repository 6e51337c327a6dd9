//! The physical memory in the file of a dump.

use std::fs::File;

use super::fault::{Fault, Result};
use super::source::Source;
use super::{elf, kdump};

/// The size of a page on x86_64.
pub const PAGE: usize = 4096;

/// A page's contents.
pub type Page = [u8; PAGE];

/// A dump in one of its formats.
pub trait Image {
    /// The contents of a page, by its number in physical memory.
    ///
    /// # Errors
    ///
    /// The dump lacks it, or is damaged.
    fn page(&self, number: u64) -> Result<Page>;

    /// The notes that the kernel, and whoever wrote the dump, have put into it.
    fn notes(&self) -> &[u8];
}

/// Opens a dump in whichever format it is.
///
/// # Errors
///
/// It is in no format that can be read here.
pub fn open(file: File) -> Result<Box<dyn Image>> {
    let file = Source::new(file)?;
    let mut mark = [0; 8];
    if file.read(0, &mut mark).is_err() {
        return Err(foreign("it is too short for a dump"));
    }
    if mark.starts_with(b"\x7fELF") {
        return Ok(Box::new(elf::Core::open(file)?));
    }
    if mark.starts_with(kdump::MARK) {
        return Ok(Box::new(kdump::Kdump::open(file)?));
    }
    Err(match &mark {
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0xfd, b'7', b'z', b'X', ..] => {
            Fault::new("it is compressed as a whole", "unpack it with `gunzip`, `unzstd` or `unxz` first")
        }
        [b'Q', b'E', b'V', b'M', ..] => foreign("it is a saved machine, not a dump"),
        _ => foreign("it is in no format of dumps that is known here"),
    })
}

fn foreign(what: &str) -> Fault {
    Fault::new(
        what,
        "give an ELF or kdump-compressed dump: a copy of /proc/vmcore, what makedumpfile writes, or QEMU's \
         dump-guest-memory",
    )
}
