//! Modules that are right, and each way in which one can be wrong.

use object::build::elf::{Builder, SectionData};
use object::elf::{
    R_X86_64_GOTPCREL, R_X86_64_TPOFF32, SHF_ALLOC, SHF_EXECINSTR, SHF_GNU_RETAIN, SHF_TLS, SHF_WRITE,
    SHN_COMMON, SHN_UNDEF, SHT_FINI_ARRAY, SHT_REL, STB_GLOBAL, STT_GNU_IFUNC, SectionFlags, SectionType,
    SymbolSection,
};

use super::*;
use crate::kernel::example::module;

/// What is wrong with a module that was right, once it is changed.
#[track_caller]
fn faults_of(change: impl FnOnce(&mut Builder<'_>)) -> Vec<String> {
    let data = module(&["printk"], &["printk"]);
    assert_eq!(faults(&data).unwrap(), Vec::<String>::new());
    let mut builder = Builder::read(&*data).unwrap();
    change(&mut builder);
    let mut changed = Vec::new();
    builder.write(&mut changed).unwrap();
    faults(&changed).unwrap()
}

#[track_caller]
fn assert_fault(change: impl FnOnce(&mut Builder<'_>), text: &str) {
    let faults = faults_of(change);
    assert!(faults.iter().any(|fault| fault.contains(text)), "no {text:?} in {faults:#?}");
}

/// Changes the section `name`.
fn section(
    name: &str,
    change: impl Fn(&mut object::build::elf::Section<'_>),
) -> impl FnOnce(&mut Builder<'_>) {
    move |builder| {
        builder.sections.iter_mut().filter(|section| &*section.name == name.as_bytes()).for_each(change);
    }
}

/// Changes the symbol `printk`.
fn symbol(change: impl Fn(&mut object::build::elf::Symbol<'_>)) -> impl FnOnce(&mut Builder<'_>) {
    move |builder| {
        builder.symbols.iter_mut().filter(|symbol| &*symbol.name == b"printk").for_each(change);
    }
}

/// `SHF_GNU_RETAIN` is the loader's `SHF_RO_AFTER_INIT`.
#[test]
fn a_flag_that_the_loader_reads_otherwise() {
    let retain = |section: &mut object::build::elf::Section<'_>| section.sh_flags.0 |= SHF_GNU_RETAIN.0;
    assert_fault(section(".init.data", retain), "section .init.data: it has the flag SHF_GNU_RETAIN");
    // What is read-only anyway stays where it is.
    assert_eq!(faults_of(section(".text", retain)), Vec::<String>::new());
}

/// Nobody calls the functions listed there. gcc's address sanitizer lists some, which nobody needs to call.
#[test]
fn destructors_are_those_of_the_sanitizer() {
    let destructors = |section: &mut object::build::elf::Section<'_>| section.sh_type = SHT_FINI_ARRAY;
    assert_fault(section(".init.data", destructors), "section .init.data: the kernel does not call");
    let sanitized = |builder: &mut Builder<'_>| {
        section(".init.data", destructors)(builder);
        symbol(|symbol| symbol.name = b"__asan_unregister_globals"[..].into())(builder);
    };
    assert_eq!(faults_of(sanitized), Vec::<String>::new());
}

#[test]
fn sections_that_the_loader_does_not_know() {
    let flags = |flags: SectionFlags| section(".init.data", move |section| section.sh_flags.0 |= flags.0);
    assert_fault(flags(SHF_TLS), "thread-local");
    assert_fault(flags(SHF_EXECINSTR), "writable and executable");
    assert_fault(flags(SectionFlags(1 << 28)), "its flag 0x10000000 is unknown");
    assert_fault(
        section(".text", |section| section.sh_type = SectionType(0x7000_0001)),
        "its type 0x70000001",
    );
    assert_fault(section(".text", |section| section.sh_addralign = 8192), "can't align it to 8192");
    assert_fault(
        section(".modinfo", |section| section.name = b"modinfo"[..].into()),
        "section .modinfo is missing",
    );
    assert_fault(section(".init.data", |section| section.name = b".modinfo"[..].into()), "there 2 times");
    assert_fault(
        section(".gnu.linkonce.this_module", |section| section.name = b"this"[..].into()),
        "it is not a finished module",
    );
}

/// Full `strip` takes the symbols away.
#[test]
fn a_module_that_was_stripped() {
    let data = module(&[], &[]);
    let mut builder = Builder::read(&*data).unwrap();
    for section in &mut builder.sections {
        section.delete =
            matches!(section.data, SectionData::Symbol | SectionData::String | SectionData::Relocation(_));
    }
    for symbol in &mut builder.symbols {
        symbol.delete = true;
    }
    let mut stripped = Vec::new();
    builder.write(&mut stripped).unwrap();
    let faults = faults(&stripped).unwrap();
    assert!(faults[0].contains("the symbol table is missing: strip a module with"), "{faults:?}");
}

#[test]
fn symbols_that_the_kernel_does_not_take() {
    let place = |place: SymbolSection| {
        symbol(move |symbol| {
            symbol.st_shndx = place;
            symbol.st_value = 1;
        })
    };
    assert_fault(place(SHN_COMMON), "symbol printk: it is a common symbol");
    assert_fault(place(SymbolSection(0xff01)), "section 0xff01");
    assert_fault(place(SHN_LIVEPATCH), "its name must be .klp.sym.OBJECT.NAME,POSITION");
    assert_fault(symbol(|symbol| symbol.set_st_info(STB_GLOBAL, STT_GNU_IFUNC)), "chosen by a function");
    assert_fault(
        symbol(|symbol| symbol.name = b".klp.sym.vmlinux.f,0"[..].into()),
        "symbol .klp.sym.vmlinux.f,0: it is not marked as a livepatch symbol",
    );
}

/// Changes the relocations of the code.
fn relocations(change: impl Fn(&mut object::build::elf::Relocation)) -> impl FnOnce(&mut Builder<'_>) {
    section(".rela.text", move |section| {
        let SectionData::Relocation(relocations) = &mut section.data else { panic!() };
        relocations.iter_mut().for_each(&change);
    })
}

#[test]
fn relocations_that_the_loader_does_not_apply() {
    assert_fault(
        relocations(|relocation| relocation.r_type = R_X86_64_GOTPCREL),
        "relocation of .text: R_X86_64_GOTPCREL of `printk` is not one that",
    );
    assert_fault(
        relocations(|relocation| relocation.r_type = R_X86_64_TPOFF32),
        "the kernel has no thread-local",
    );
    assert_fault(relocations(|relocation| relocation.r_offset = 2), "beyond the end of the section");
    assert_fault(relocations(|relocation| relocation.r_offset = 0), "has a value already");
    assert_fault(section(".rela.text", |section| section.sh_type = SHT_REL), "relocations have a type");
}

/// As the livepatch core reads it: by the section's flag, and by the object in its name.
#[test]
fn livepatch_relocations_that_belong_elsewhere() {
    let as_livepatch = |name: &'static str, flags: SectionFlags| {
        move |builder: &mut Builder<'_>| {
            symbol(|symbol| {
                symbol.name = b".klp.sym.vmlinux.f,0"[..].into();
                symbol.st_shndx = SHN_LIVEPATCH;
            })(builder);
            for section in [".rela.text", ".rela.init.data"] {
                self::section(section, |section| {
                    section.name = name.as_bytes().into();
                    section.sh_flags = flags;
                })(builder);
            }
        }
    };
    let marked = SectionFlags(SHF_ALLOC.0 | SHF_RELA_LIVEPATCH.0);
    assert_eq!(faults_of(as_livepatch(".klp.rela.vmlinux..text", marked)), Vec::<String>::new());
    assert_fault(as_livepatch(".klp.rela.ext4..text", marked), "which belongs to another object");
    assert_fault(as_livepatch(".klp.rela.vmlinux..text", SHF_ALLOC), "the flag SHF_RELA_LIVEPATCH");
    assert_fault(
        as_livepatch(".rela.text", SectionFlags(0)),
        "must be in a section of livepatch relocations",
    );
    assert_fault(as_livepatch(".klp.rela.vmlinux", marked), "its name must be .klp.rela.OBJECT.SECTION");
    assert_fault(
        |builder: &mut Builder<'_>| {
            as_livepatch(".klp.rela.vmlinux..text", marked)(builder);
            section(".modinfo", |section| section.data = SectionData::Data(b"name=x\0"[..].into()))(builder);
        },
        "lacks livepatch=Y",
    );
    // Undefined as it is where nobody marked it.
    assert_fault(
        symbol(|symbol| {
            symbol.name = b".klp.sym.vmlinux.f,0"[..].into();
            symbol.st_shndx = SHN_UNDEF;
        }),
        "was not finished",
    );
    let writable = SectionFlags(SHF_ALLOC.0 | SHF_RELA_LIVEPATCH.0 | SHF_TLS.0 | SHF_WRITE.0);
    assert_fault(as_livepatch(".klp.rela.vmlinux..text", writable), "its flag 0x400 is unknown");
}

/// A name may be as long as the file, and be that of every symbol.
#[test]
fn names_are_shown_as_far_as_the_kernel_reads_them() {
    let long = |symbol: &mut object::build::elf::Symbol<'_>| {
        symbol.name = [b".klp.sym.vmlinux.", &[b'x'; 10_000][..]].concat().into();
    };
    let faults = faults_of(symbol(long));
    assert!(faults.iter().any(|fault| fault.contains("symbol .klp.sym.vmlinux.xxx")), "{faults:?}");
    assert!(faults.iter().all(|fault| fault.len() < 1000), "{faults:?}");
}
