//! Dumps that can't be read: what is said of them. Kernel tests read the memory of a kernel that runs, and `cargo xtask
//! operate` dumps of one that has crashed.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::fake::Fake;
use crate::error::Exit;
use crate::machine::Machine;

/// The parts of an ELF dump: notes, and pieces of physical memory with their addresses.
fn core(machine: u16, notes: &[(&str, &str)], memory: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut section = Vec::new();
    for (owner, text) in notes {
        for word in [owner.len() + 1, text.len(), 0] {
            section.extend((word as u32).to_le_bytes());
        }
        for part in [format!("{owner}\0").as_bytes(), text.as_bytes()] {
            section.extend(part);
            section.resize(section.len().next_multiple_of(4), 0);
        }
    }
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [4, machine] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    for long in [0, 64, 0_u64] {
        file.extend(long.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64, 56, memory.len() as u16 + 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut place = 64 + 56 * (memory.len() as u64 + 1);
    let mut contents = Vec::new();
    let notes = (4_u32, 0, section);
    for (kind, address, data) in
        [notes].into_iter().chain(memory.iter().map(|(at, data)| (1, *at, data.clone())))
    {
        file.extend([kind, 0].map(u32::to_le_bytes).concat());
        let size = data.len() as u64;
        for long in [place, address, address, size, size, 0] {
            file.extend(long.to_le_bytes());
        }
        place += size;
        contents.extend(data);
    }
    file.extend(contents);
    file
}

const X86_64: u16 = 62;

/// What is said where the page table is read, and has nothing in it.
const EMPTY: &str = "nothing is at the address 0xffffffff80002000";

/// What a kernel says whose page table is at 0x1000.
const INFO: &str = "OSRELEASE=6.12.1\nSYMBOL(swapper_pg_dir)=ffffffff80001000\nNUMBER(phys_base)=0\n\
                    NUMBER(pgtable_l5_enabled)=0\n";
const SYMBOLS: &str = "SYMBOL(kallsyms_num_syms)=ffffffff80002000\nSYMBOL(kallsyms_offsets)=ffffffff80002100\n\
                       SYMBOL(kallsyms_names)=ffffffff80002200\nSYMBOL(kallsyms_token_table)=ffffffff80002300\n\
                       SYMBOL(kallsyms_token_index)=ffffffff80002400\n";

/// A dump in the kdump-compressed format, with one page at 0x1000, of a size and with flags.
fn kdump(machine: &str, is_split: bool, flags: u32, page: &[u8]) -> Vec<u8> {
    let note = core(X86_64, &[("VMCOREINFO", &format!("{INFO}{SYMBOLS}"))], &[])[120..].to_vec();
    let mut file = vec![0; 4096 * 5];
    let mut put = |place: usize, bytes: &[u8]| file[place..place + bytes.len()].copy_from_slice(bytes);
    put(0, b"KDUMP   ");
    put(272, machine.as_bytes());
    for (place, number) in [(428, 4096_u32), (432, 1), (436, 2), (4096 + 12, is_split.into())] {
        put(place, &number.to_le_bytes());
    }
    for (place, number) in [(4096 + 48, 4096 * 5_u64), (4096 + 56, note.len() as u64)] {
        put(place, &number.to_le_bytes());
    }
    put(4096 * 3, &[0b10]);
    put(4096 * 4, &(4096 * 5 + note.len() as u64).to_le_bytes());
    for (place, number) in [(8, page.len() as u32), (12, flags)] {
        put(4096 * 4 + place, &number.to_le_bytes());
    }
    file.extend(note);
    file.extend(page);
    file
}

fn path(fake: &Fake, name: &str) -> String {
    fake.path(name).into_os_string().into_string().unwrap()
}

#[track_caller]
fn says(file: &[u8], texts: &[&str]) {
    let fake = Fake::new();
    fake.write("dump", file);
    assert_eq!(fake.klp(["status", "--dump", &path(&fake, "dump")]), Exit::Failed);
    let said = fake.said();
    assert!(texts.iter().all(|text| said.contains(text)), "{texts:?}: {said}");
    assert!(said.contains("  help: "), "{said}");
}

#[test]
fn what_is_no_dump_is_refused() {
    says(b"", &["it is too short for a dump", "give an ELF or kdump-compressed dump"]);
    says(b"some text of some length", &["it is in no format of dumps that is known here"]);
    says(b"\x1f\x8b\x08\0\0\0\0\0\0\0", &["it is compressed as a whole", "gunzip"]);
    let mut module = core(X86_64, &[], &[]);
    module[16] = 1;
    says(&module, &["it is a program or a module, not a dump"]);
    says(&core(183, &[], &[]), &["it is of another architecture than x86_64"]);
    says(&kdump("aarch64", false, 0, &[]), &["it is of another architecture than x86_64: aarch64"]);
    let fake = Fake::new();
    assert_eq!(fake.klp(["status", "--dump", &path(&fake, "sys")]), Exit::Failed);
    assert!(fake.said().contains("is not a dump: it is a directory"), "{}", fake.said());
    assert_eq!(fake.klp(["status", "--dump", &path(&fake, "none")]), Exit::Failed);
}

#[test]
fn a_dump_that_lacks_what_tells_where_things_are_is_refused() {
    says(&core(X86_64, &[("CORE", "")], &[]), &["it has no VMCOREINFO", "-device vmcoreinfo"]);
    says(
        &core(X86_64, &[("VMCOREINFO", "OSRELEASE=6.12.1\n")], &[]),
        &["does not say where the page tables are"],
    );
    says(
        &core(X86_64, &[("VMCOREINFO", INFO)], &[]),
        &["where the kernel's symbols are, which kernels since 6.0 do"],
    );
}

#[test]
fn a_dump_that_is_damaged_is_refused() {
    let info = format!("{INFO}{SYMBOLS}");
    let info = [("VMCOREINFO", &*info)];
    let empty = || vec![0; 4096];
    says(&core(X86_64, &info, &[]), &["page 0x1 is not in it", "it is cut off, or too much was left out"]);
    says(&core(X86_64, &info, &[(0x1000, empty())]), &[EMPTY]);
    let mut short = core(X86_64, &info, &[(0x1000, empty())]);
    short.truncate(short.len() - 1);
    says(&short, &["it is damaged: it has no byte", "copy it again"]);
    short.truncate(100);
    says(&short, &["it is damaged: it has no byte 64"]);
    // A page table of its own: whatever is asked for is at the table itself.
    let mut table = empty();
    table[511 * 8..].copy_from_slice(&0x1001_u64.to_le_bytes());
    table[510 * 8..511 * 8].copy_from_slice(&0x1001_u64.to_le_bytes());
    table[..8].copy_from_slice(&0x1001_u64.to_le_bytes());
    table[16..24].copy_from_slice(&0x1001_u64.to_le_bytes());
    says(&core(X86_64, &info, &[(0x1000, table)]), &["the kernel's memory was overwritten"]);
    let mut endless = core(X86_64, &info, &[]);
    endless[64 + 32..64 + 40].copy_from_slice(&u64::MAX.to_le_bytes());
    says(&endless, &["it is damaged: its notes would be too large"]);
}

#[test]
fn pages_are_decompressed() {
    says(&kdump("x86_64", false, 0, &[0; 4096]), &[EMPTY]);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&[0; 4096]).unwrap();
    says(&kdump("x86_64", false, 1, &zlib.finish().unwrap()), &[EMPTY]);
    says(&kdump("x86_64", false, 1, b"no zlib"), &["page 0x1 can't be decompressed"]);
    says(&kdump("x86_64", false, 0x40, &[0; 4096]), &["page 0x1 can't be decompressed"]);
    says(&kdump("x86_64", false, 2, b"LZO"), &["LZO, snappy or zstd", "makedumpfile -c -d 31 FILE NEW"]);
    says(&kdump("x86_64", true, 0, &[0; 4096]), &["it is one part of a dump that was split", "--reassemble"]);
}

#[test]
fn the_flattened_format_is_put_in_order() {
    let dump = kdump("x86_64", false, 0, &[0; 4096]);
    let mut flat = b"makedumpfile\0\0\0\0".to_vec();
    flat.resize(4096, 0);
    let add = |flat: &mut Vec<u8>, start: i64, data: &[u8]| {
        flat.extend(start.to_be_bytes());
        flat.extend((data.len() as i64).to_be_bytes());
        flat.extend(data);
    };
    add(&mut flat, 0, &[1; 9000]);
    add(&mut flat, 9000, &dump[9000..]);
    add(&mut flat, 0, &dump[..9000]);
    let sound = [&flat[..], &[0xff; 16]].concat();
    says(&sound, &[EMPTY]);
    // Without its end.
    says(&flat, &["it is damaged: it has no byte"]);
    flat.extend([0x80; 16]);
    says(&flat, &["a piece of the flattened format"]);
}
