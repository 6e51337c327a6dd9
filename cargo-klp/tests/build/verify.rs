//! The finished module: what the module loader or a tool of Kbuild would object to.

use std::fs;
use std::path::PathBuf;

use object::elf::SHF_GNU_RETAIN;
use object::{Object, ObjectSection};

use super::{LIVEPATCH, Probe, assert_refused, modules_of_this_test, result};

/// A `#[used]` item's section has a flag that the module loader reads as `SHF_RO_AFTER_INIT`: with it, all
/// data of the module would be read-only after init, the glue's too.
#[test]
fn used_statics_leave_the_data_writable() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
use core::sync::atomic::AtomicU32;
#[used]
static MARK: AtomicU32 = AtomicU32::new(1);
#[used]
static ZERO: AtomicU32 = AtomicU32::new(0);
"
    ));
    let output = patch.build().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ko = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let data = fs::read(ko).unwrap();
    let file = object::File::parse(&*data).unwrap();
    for name in [".data", ".bss"] {
        let section = file.section_by_name(name).unwrap();
        let object::SectionFlags::Elf { sh_flags, .. } = section.flags() else { panic!() };
        assert!(!sh_flags.contains(SHF_GNU_RETAIN), "{name}");
    }
}

/// The module loader aligns to a page at most, and says nothing. By plain make it is the same.
#[test]
fn a_section_that_the_loader_would_misread() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
#[repr(align(8192))]
struct Aligned(#[expect(dead_code)] u8);
#[used]
static ALIGNED: Aligned = Aligned(1);
"
    ));
    patch.write_kbuild();
    for _ in 0..2 {
        let fault = "section .rodata: the kernel can't align it to 8192";
        assert_refused(patch.build(), 1, &[fault]);
        assert_eq!(modules_of_this_test(), Vec::<PathBuf>::new());
        let (code, said) = result(&mut patch.make(&["modules"]));
        assert!(code != 0 && said.contains(fault), "{said}");
        assert!(!patch.0.path().join("a_section_that_the_loader_would_misread.ko").exists());
    }
}

/// What does not compile any more: the module of what did is no module of it.
#[test]
fn what_does_not_compile_leaves_no_module() {
    let patch = Probe::new(LIVEPATCH);
    let source = patch.0.path().join("src/lib.rs");
    for _ in 0..2 {
        fs::write(&source, LIVEPATCH).unwrap();
        assert!(patch.build().output().unwrap().status.success());
        fs::write(&source, format!("{LIVEPATCH}const WRONG: u32 = \"text\";\n")).unwrap();
        assert_refused(patch.build(), 1, &["mismatched types"]);
        assert_eq!(modules_of_this_test(), Vec::<PathBuf>::new());
    }
    patch.write_kbuild();
    fs::write(&source, LIVEPATCH).unwrap();
    assert_eq!(result(&mut patch.make(&["modules"])).0, 0);
    let ko = patch.0.path().join("what_does_not_compile_leaves_no_module.ko");
    assert!(ko.exists());
    fs::write(&source, format!("{LIVEPATCH}const WRONG: u32 = \"text\";\n")).unwrap();
    assert_ne!(result(&mut patch.make(&["modules"])).0, 0);
    assert!(!ko.exists());
}

/// Code that objtool warns of, and a call of what modpost says is gone after init: what was refused once is
/// refused again, and leaves no module.
#[test]
fn what_was_refused_is_refused_again() {
    let by_objtool = Probe::new(&format!("{LIVEPATCH}{UNSEALED}"));
    for _ in 0..3 {
        assert_refused(by_objtool.build(), 1, &["objtool warned of the module", "by_asm"]);
        assert_eq!(modules_of_this_test(), Vec::<PathBuf>::new());
    }
    let by_modpost = Probe::new(&format!("{LIVEPATCH}{GONE}"));
    for _ in 0..3 {
        assert_refused(by_modpost.build(), 1, &["WARNING: modpost", "section mismatch"]);
        assert_eq!(modules_of_this_test(), Vec::<PathBuf>::new());
    }
}

/// A function that is called through a pointer and does not start with `endbr64`.
const UNSEALED: &str = "
unsafe extern \"C\" { fn by_asm(); }
core::arch::global_asm!(
    \".pushsection .text\", \".globl by_asm\", \".type by_asm,@function\", \"by_asm:\", \"ret\",
    \".size by_asm, .-by_asm\", \".popsection\"
);
#[used]
static mut TABLE: [unsafe extern \"C\" fn(); 1] = [by_asm];
";

/// A function that is gone once the module has been loaded, and is called later.
const GONE: &str = "
#[inline(never)]
#[unsafe(link_section = \".init.text\")]
fn gone(number: usize) -> c_int { core::hint::black_box(number) as c_int }
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(m: *mut seq_file, _v: *mut c_void) -> c_int { gone(m.addr()) }
";

/// The same by plain make, which goes on after a tool's warning.
#[test]
fn what_plain_make_refused_it_refuses_again() {
    for (source, why) in [(UNSEALED, "objtool warned of the module"), (GONE, "Section mismatches detected")] {
        let patch = Probe::new(&format!("{LIVEPATCH}{source}"));
        patch.write_kbuild();
        for _ in 0..3 {
            let (code, said) = result(&mut patch.make(&["modules"]));
            assert_ne!(code, 0, "{said}");
            assert!(said.contains(why), "{said}");
            assert!(!patch.0.path().join("what_plain_make_refused_it_refuses_again.ko").exists());
        }
    }
}

/// A name that nothing defines: no variable of Kbuild's makes it pass.
#[test]
fn an_undefined_symbol_is_refused_again() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
unsafe extern \"C\" {{ fn no_such_function() -> c_int; }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {{ unsafe {{ no_such_function() }} }}
"
    ));
    patch.write_kbuild();
    for _ in 0..2 {
        let mut by_command = patch.build();
        by_command.env("KBUILD_MODPOST_WARN", "1");
        assert_refused(by_command, 1, &["no_such_function"]);
        assert_eq!(modules_of_this_test(), Vec::<PathBuf>::new());
        let (code, said) = result(patch.make(&["modules"]).env("KBUILD_MODPOST_WARN", "1"));
        assert!(code != 0 && said.contains("no_such_function"), "{said}");
        assert!(!patch.0.path().join("an_undefined_symbol_is_refused_again.ko").exists());
    }
}

/// What no kernel has, said where it stands in the source.
#[test]
fn relocations_that_no_kernel_applies() {
    let thread_local = Probe::new(&format!(
        "#![feature(thread_local)]\n{LIVEPATCH}
#[thread_local]
static mut COUNT: u64 = 7;
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {{
    unsafe {{ COUNT += 1; COUNT as c_int }}
}}
"
    ));
    let why = "src/lib.rs:10: `relocations_that_no_kernel_applies::COUNT` is a thread-local variable (R_X86_64_TPOFF32)";
    assert_refused(thread_local.build(), 1, &[why, "shadow variable of the task"]);
    let by_table = Probe::new(&format!(
        "{LIVEPATCH}
unsafe extern \"C\" {{ fn seq_printf(); }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {{
    let address: usize;
    unsafe {{ core::arch::asm!(\"mov {{}}, [rip + {{}}@GOTPCREL]\", out(reg) address, sym seq_printf) }};
    address as c_int
}}
"
    ));
    let why = "src/lib.rs:9: the address of `seq_printf` is read from a global offset table";
    assert_refused(by_table.build(), 1, &[why, "(R_X86_64_GOTPCREL)"]);
}
