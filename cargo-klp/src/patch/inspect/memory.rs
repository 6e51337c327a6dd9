//! Computes the memory that a loaded module takes.

use object::{Object, ObjectSection, SectionFlags, elf};

use super::report::{Memory, Sizes};

/// Sections that the kernel reads from the file but does not keep in memory.
const NOT_KEPT: [&str; 2] = [".modinfo", "__versions"];

/// The sizes of the parts that are loaded.
pub fn read(file: &object::File<'_>) -> Memory {
    let mut memory = Memory::default();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        let name = section.name().unwrap_or_default();
        let sizes = if name.starts_with(".init") { &mut memory.init } else { &mut memory.core };
        if !NOT_KEPT.contains(&name) {
            add(sizes, sh_flags, section.size());
        }
    }
    memory
}

fn add(sizes: &mut Sizes, sh_flags: elf::SectionFlags, size: u64) {
    let has = |flag| sh_flags.contains(flag);
    if !has(elf::SHF_ALLOC) {
        return;
    }
    let part = if has(elf::SHF_EXECINSTR) {
        &mut sizes.text
    } else if has(elf::SHF_WRITE) {
        &mut sizes.data
    } else {
        &mut sizes.rodata
    };
    *part = part.saturating_add(size);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_memory_is_for() {
        let mut sizes = Sizes::default();
        let alloc = elf::SHF_ALLOC;
        add(&mut sizes, alloc | elf::SHF_EXECINSTR, 1);
        add(&mut sizes, alloc, 10);
        add(&mut sizes, alloc | elf::SHF_WRITE, 100);
        add(&mut sizes, elf::SHF_WRITE, 1000);
        assert_eq!(sizes, Sizes { text: 1, rodata: 10, data: 100 });
        assert_eq!(sizes.total(), 111);
    }

    #[test]
    fn sizes_may_be_anything() {
        let mut sizes = Sizes::default();
        for flags in [elf::SHF_ALLOC, elf::SHF_ALLOC, elf::SHF_ALLOC | elf::SHF_WRITE] {
            add(&mut sizes, flags, u64::MAX);
        }
        assert_eq!(sizes.total(), u64::MAX);
    }
}
