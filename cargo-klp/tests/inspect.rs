//! `cargo klp inspect` on modules that Kbuild made: one in C, and one of our own.
//!
//! Needs a kernel 6.12: `cargo klp doctor --fix --kernel 6.12` gets it.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use cargo_klp::kernel::Kernel;
use cargo_klp::patch::inspect::report::{Language, Memory, Report};
use cargo_klp::patch::inspect::{inspect, modinfo};
use klp_module::Signature;
use object::{Object, ObjectSection, ObjectSymbol};

use support::{kernel, klp, succeed, target_directory};

/// The kernel that the modules are built for.
static KERNEL: LazyLock<Kernel> = LazyLock::new(|| kernel("6.12"));

/// The module of `fixtures/c_livepatch`.
static C_MODULE: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c_livepatch");
    fs::create_dir_all(&dir).unwrap();
    for name in ["Kbuild", "c_livepatch.c"] {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/c_livepatch").join(name);
        fs::write(dir.join(name), fs::read(fixture).unwrap()).unwrap();
    }
    let mut make = Command::new("make");
    make.arg("-C").arg(&KERNEL.kdir).arg(format!("M={}", dir.display())).env_remove("MAKEFLAGS");
    succeed(&mut make);
    dir.join("c_livepatch.ko")
});

/// The module of `examples/cmdline`.
static OUR_MODULE: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = klp();
    build.args(["build", "--package", "livepatch-cmdline", "--kernel", &KERNEL.release]);
    let output = succeed(build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
    String::from_utf8(output.stdout).unwrap().trim().into()
});

/// What the command shows, without what depends on the compiler and the kernel's last number.
fn shown(module: &Path) -> String {
    let output = succeed(klp().arg("inspect").arg(module));
    let text = String::from_utf8(output.stdout).unwrap();
    let (text, memory) = text.split_once("\nMemory\n").expect("the sizes come last");
    assert_eq!(memory.lines().count(), 3, "{memory}");
    text.replace(&KERNEL.release, "RELEASE")
}

/// A changed copy of a module.
fn changed(module: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut data = fs::read(module).unwrap();
    change(&mut data);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, data).unwrap();
    path
}

fn replace(data: &mut [u8], old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let at = data.windows(old.len()).position(|window| window == old).expect("it is there");
    data[at..at + new.len()].copy_from_slice(new);
}

#[test]
fn a_module_in_c() {
    insta::assert_snapshot!(shown(&C_MODULE));
}

#[test]
fn a_module_of_ours() {
    let text = shown(&OUR_MODULE);
    // What the runtime and the glue need is not this test's concern.
    let (text, needs) = text.split_once("\nNeeds\n").expect("every livepatch needs symbols");
    assert!(needs.contains("klp_enable_patch") && needs.contains("seq_printf"), "{needs}");
    insta::assert_snapshot!(text);
}

#[test]
fn json_has_stable_names() {
    let output = succeed(klp().args(["inspect", "--message-format", "json"]).arg(&*C_MODULE));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    let mut report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let total: u64 = report["memory"]["core"].as_object().unwrap().values().filter_map(|v| v.as_u64()).sum();
    assert!(total > 1000, "{text}");
    report["memory"] = serde_json::to_value(Memory::default()).unwrap();
    let text = serde_json::to_string_pretty(&report).unwrap();
    insta::assert_snapshot!(text.replace(&KERNEL.release, "RELEASE"));
}

/// A program that cannot be told anything of a file is told why.
#[test]
fn json_of_a_file_that_is_no_module() {
    for arguments in [&["no.ko"][..], &["--verify", "no.ko"], &[env!("CARGO_MANIFEST_DIR"), "no.ko"]] {
        let output = klp().args(["inspect", "--message-format", "json"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let failure: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(failure["error"].is_string() && failure["help"].is_string(), "{failure}");
    }
}

/// Of debug information only, it is the same module; of everything, it is none any more.
#[test]
fn a_stripped_module_of_ours() {
    let strip = |flag: &str| {
        let stripped = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ours{flag}.ko"));
        succeed(Command::new("strip").arg(flag).arg("-o").arg(&stripped).arg(&*OUR_MODULE));
        inspect(&stripped)
    };
    assert_eq!(strip("--strip-debug").unwrap().patch, inspect(&OUR_MODULE).unwrap().patch);
    let error = strip("--strip-all").unwrap_err().with_help();
    assert!(
        error.contains("is stripped of its symbols") && error.contains("`strip --strip-debug`"),
        "{error}"
    );
}

/// As a distribution ships it: then the kernel's BTF tells the layout.
#[test]
fn a_stripped_module_in_c() {
    let stripped = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stripped.ko");
    succeed(Command::new("strip").arg("-g").arg("-o").arg(&stripped).arg(&*C_MODULE));
    let data = fs::read(&stripped).unwrap();
    let file = object::File::parse(&*data).unwrap();
    assert!(file.section_by_name(".debug_info").is_none());
    let (plain, stripped) = (inspect(&C_MODULE).unwrap(), inspect(&stripped).unwrap());
    assert!(stripped.patch.is_some(), "{:?}", stripped.unknown);
    assert_eq!(plain, stripped);
}

#[test]
fn without_any_layout_the_rest_is_told() {
    let foreign = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign.ko");
    succeed(Command::new("strip").arg("-g").arg("-o").arg(&foreign).arg(&*C_MODULE));
    let other_release = KERNEL.release.replace("6.12", "0.12");
    let foreign = changed(&foreign, "foreign.ko", |data| {
        replace(
            data,
            format!("vermagic={}", KERNEL.release).as_bytes(),
            format!("vermagic={other_release}").as_bytes(),
        );
    });
    let report = inspect(&foreign).unwrap();
    assert_eq!((report.name.as_str(), report.patch), ("c_livepatch", None));
    let why = report.unknown.unwrap();
    assert!(why.contains(&format!("no BTF of its kernel {other_release}")), "{why}");
}

/// What sign-file appended to some file.
const SIGNATURE: &[u8] = include_bytes!("../../klp-module/src/signature/appended");

#[test]
fn a_compressed_and_signed_module() {
    let packed = changed(&C_MODULE, "signed.ko.zst", |data| {
        data.extend_from_slice(SIGNATURE);
        *data = ruzstd::encoding::compress_to_vec(&**data, ruzstd::encoding::CompressionLevel::Fastest);
    });
    let plain = inspect(&C_MODULE).unwrap();
    assert!(!plain.signed);
    let signature = Signature::of(&[b"x", SIGNATURE].concat()).unwrap();
    assert!(signature.is_some());
    assert_eq!(inspect(&packed).unwrap(), Report { signed: true, signature, ..plain });
}

#[test]
fn an_ordinary_module_is_no_livepatch() {
    let ordinary = changed(&C_MODULE, "ordinary.ko", |data| replace(data, b"livepatch=Y", b"livepatch=N"));
    let output = klp().arg("inspect").arg(&ordinary).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is not a livepatch") && said.contains("help: "), "{said}");
}

#[test]
fn lost_entries_are_an_error() {
    let lost = changed(&OUR_MODULE, "lost.ko", |data| {
        let value = symbol_value(data, "__stop_klp_funcs");
        data[value..value + 8].fill(0);
    });
    let error = inspect(&lost).unwrap_err();
    assert!(error.to_string().contains("lost entries: 0 of 1 functions"), "{error}");
}

#[test]
fn a_lost_manifest_is_an_error() {
    let lost = changed(&OUR_MODULE, "no-manifest.ko", |data| {
        replace(data, b".note.klp_manifest", b".note.klp_lost....");
    });
    let error = inspect(&lost).unwrap_err();
    assert!(error.to_string().contains("lost entries"), "{error}");
}

/// Where in a file the value of a symbol stands.
fn symbol_value(data: &[u8], name: &str) -> usize {
    let file = object::File::parse(data).unwrap();
    let (table, _) = file.section_by_name(".symtab").unwrap().file_range().unwrap();
    let index = file.symbol_by_name(name).unwrap().index().0;
    // `st_value` of an `Elf64_Sym`.
    usize::try_from(table).unwrap() + index * 24 + 8
}

#[test]
fn finished_modules_are_checked() {
    for (module, name, language) in
        [(&*C_MODULE, "c_livepatch", Language::C), (&*OUR_MODULE, "livepatch_cmdline", Language::Klp)]
    {
        assert_eq!(inspect(module).unwrap().language, language);
        let data = fs::read(module).unwrap();
        let file = object::File::parse(&*data).unwrap();
        modinfo::check(module, &file, name, &KERNEL.release, true).unwrap();
        let error = modinfo::check(module, &file, "other", "6.12.0", true).unwrap_err().to_string();
        assert!(error.contains("not other") && error.contains("not for 6.12.0"), "{error}");
    }
}

/// Any module that Kbuild made passes; what another tool did to one is seen.
#[test]
fn modules_are_verified() {
    let verify = |module: &Path| {
        let output = klp().args(["inspect", "--verify"]).arg(module).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for module in [&*C_MODULE, &*OUR_MODULE] {
        assert_eq!(verify(module), (0, String::new()));
    }
    let own = KERNEL.modules.as_ref().unwrap().join("kernel");
    let list = succeed(Command::new("find").arg(own).args(["-name", "*.ko.xz"]));
    let list = String::from_utf8(list.stdout).unwrap();
    let mut modules: Vec<&str> = list.lines().collect();
    modules.sort_unstable();
    for module in modules.iter().step_by(100) {
        assert_eq!(
            cargo_klp::patch::inspect::faults(module.as_ref()).unwrap(),
            Vec::<String>::new(),
            "{module}"
        );
    }

    let stripped = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fully-stripped.ko");
    succeed(Command::new("strip").arg("-o").arg(&stripped).arg(&*C_MODULE));
    let (code, said) = verify(&stripped);
    assert!(code == 1 && said.contains("the symbol table is missing: strip a module with"), "{said}");
}

/// `ld -r` on a finished module takes the marks of livepatch symbols away.
#[test]
fn a_module_that_was_linked_again() {
    let directory = tempfile::tempdir().unwrap();
    support::write_crate(
        directory.path(),
        "linked_again",
        "#[klp_symbols]\nunsafe extern \"C\" { static saved_command_line: *const c_char; }
         #[klp_func(symbol = \"cmdline_proc_show\")]
         unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {
             unsafe { (saved_command_line.addr() % 2) as c_int }
         }",
    );
    let mut build = klp();
    build.args(["build", "--kernel", &KERNEL.release]).current_dir(directory.path());
    let target = target_directory();
    let output = succeed(build.env("CARGO_TARGET_DIR", target));
    let built = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let again = directory.path().join("linked_again.ko");
    succeed(Command::new("ld").arg("-r").arg("-o").arg(&again).arg(&built));
    assert_eq!(inspect(&built).unwrap().faults, Vec::<String>::new());
    let faults = inspect(&again).unwrap().faults;
    assert!(faults.iter().any(|fault| fault.contains("saved_command_line")), "{faults:#?}");
    let output = klp().arg("inspect").arg(&again).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("Wrong with it"));
}
