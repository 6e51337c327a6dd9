//! Dumps as ELF files: `/proc/vmcore`, `makedumpfile -E`, QEMU's `dump-guest-memory`, `virsh dump --memory-only`.

use std::mem::size_of;

use object::LittleEndian as LE;
use object::elf::{
    EM_X86_64, ET_CORE, FileHeader64, PN_XNUM, PT_LOAD, PT_NOTE, ProgramHeader64, SectionHeader64,
};
use object::pod::{Pod, from_bytes, slice_from_all_bytes};

use super::fault::{Fault, Result};
use super::image::{Image, PAGE, Page};
use super::source::Source;

/// A part of physical memory that the file has.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: u64,
    end: u64,
    offset: u64,
}

/// A dump as an ELF file.
pub struct Core {
    file: Source,
    segments: Vec<Segment>,
    notes: Vec<u8>,
}

impl Core {
    /// Reads the file's headers.
    pub fn open(file: Source) -> Result<Self> {
        let header: FileHeader64<LE> = structure(&file, 0)?;
        let is_64 = header.e_ident.class == object::elf::ELFCLASS64;
        let is_little = header.e_ident.data == object::elf::ELFDATA2LSB;
        if !is_64 || !is_little || header.e_machine.get(LE) != EM_X86_64 {
            return Err(Fault::new(
                "it is of another architecture than x86_64",
                "`crash` reads it, on a machine of its architecture",
            ));
        }
        if header.e_type.get(LE) != ET_CORE {
            return Err(Fault::new(
                "it is a program or a module, not a dump",
                "give the dump of a kernel's memory",
            ));
        }
        let mut number = header.e_phnum.get(LE).into();
        if number == u32::from(PN_XNUM) {
            let section: SectionHeader64<LE> = structure(&file, header.e_shoff.get(LE))?;
            number = section.sh_info.get(LE);
        }
        let size = u64::from(number) * size_of::<ProgramHeader64<LE>>() as u64;
        let headers = file.part(header.e_phoff.get(LE), size, "table of segments")?;
        let headers: &[ProgramHeader64<LE>] =
            slice_from_all_bytes(&headers).map_err(|()| Fault::damaged("its segments are out of line"))?;
        let mut notes = Vec::new();
        let mut segments = Vec::new();
        for header in headers {
            let [offset, size, start] =
                [&header.p_offset, &header.p_filesz, &header.p_paddr].map(|number| number.get(LE));
            match header.p_type.get(LE) {
                PT_NOTE => notes.extend(file.part(offset, size, "notes")?),
                // What is not memory, such as a device, has no address of it.
                PT_LOAD => segments.extend(start.checked_add(size).map(|end| Segment { start, end, offset })),
                _ => {}
            }
        }
        Ok(Self { file, segments, notes })
    }
}

impl Image for Core {
    fn page(&self, number: u64) -> Result<Page> {
        let missing = || Fault::missing(number);
        let start = number.checked_mul(PAGE as u64).ok_or_else(missing)?;
        let end = start.checked_add(PAGE as u64).ok_or_else(missing)?;
        let mut page = [0; PAGE];
        let mut is_there = false;
        // A segment may begin or end within a page.
        for segment in &self.segments {
            let (from, to) = (segment.start.max(start), segment.end.min(end));
            if from < to {
                let part = &mut page[(from - start) as usize..(to - start) as usize];
                self.file.read(segment.offset.saturating_add(from - segment.start), part)?;
                is_there = true;
            }
        }
        if is_there { Ok(page) } else { Err(missing()) }
    }

    fn notes(&self) -> &[u8] {
        &self.notes
    }
}

fn structure<T: Pod>(file: &Source, offset: u64) -> Result<T> {
    let mut bytes = vec![0; size_of::<T>()];
    file.read(offset, &mut bytes)?;
    let (structure, _) = from_bytes::<T>(&bytes).map_err(|()| Fault::damaged("a header is out of line"))?;
    Ok(*structure)
}
