//! Other kernels and other builds of a module: each patch has what fits its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_klp::host::tools::find_program;
use cargo_klp::patch::inspect::inspect;
use object::{Object, ObjectSection, ObjectSymbol};

use super::support::{kernel, succeed};
use super::{LIVEPATCH, Probe, build, name_of_this_test};

/// The module that a build has printed.
fn built(mut command: Command) -> PathBuf {
    String::from_utf8(succeed(&mut command).stdout).unwrap().trim().into()
}

/// Whether the patch's function starts with `endbr64`, as 6.12 has it and 6.1 has not.
fn has_endbr(ko: &Path) -> bool {
    let data = fs::read(ko).unwrap();
    let file = object::File::parse(&*data).unwrap();
    let is_it =
        |symbol: &object::Symbol<'_, '_>| symbol.name().is_ok_and(|name| name.contains("replacement"));
    let function = file.symbols().filter(|symbol| symbol.is_definition()).find(is_it).unwrap();
    let section = file.section_by_index(function.section_index().unwrap()).unwrap();
    section.data().unwrap()[function.address() as usize..].starts_with(&[0xf3, 0x0f, 0x1e, 0xfa])
}

/// cargo has one place for the library of all kernels. A cargo that is slow to end leaves time for the other one to
/// put its library there.
#[test]
fn two_kernels_at_once() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn replacement(_m: *mut seq_file, _v: *mut c_void) -> c_int {{ 0 }}
"
    ));
    let tools = tempfile::tempdir().unwrap();
    let slow = tools.path().join("cargo");
    let cargo = find_program("cargo").unwrap();
    let script = format!("#!/bin/sh\n{} \"$@\"\ncode=$?\nsleep 3\nexit $code\n", cargo.display());
    fs::write(&slow, script).unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    std::thread::scope(|scope| {
        let builds = ["6.12", "6.1"].map(|series| {
            let mut command = build(patch.0.path(), &["--kernel", series]);
            command.env("PATH", &path);
            scope.spawn(|| built(command))
        });
        let [new, old] = builds.map(|build| build.join().unwrap());
        assert_eq!((has_endbr(&new), has_endbr(&old)), (true, false));
    });
}

/// The static of a function has another number in another build of its module.
#[test]
fn a_module_that_is_built_anew() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
#[klp_symbols(object = \"klp_test_other\")]
unsafe extern \"C\" {{
    #[klp(static_of = \"secret\")]
    static limit: c_int;
}}
#[klp_func(symbol = \"secret\", object = \"klp_test_other\")]
unsafe extern \"C\" fn replacement(_v: c_int) -> c_int {{ unsafe {{ (&raw const limit).read_volatile() }} }}
"
    ));
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("klp_test_other.ko");
    let symbol = |functions: &[&str]| {
        make_module(directory.path(), functions);
        let ko = built(build(patch.0.path(), &["--kernel", "6.12", "--module", module.to_str().unwrap()]));
        let [symbol] = &*inspect(&ko).unwrap().symbols.livepatch else { panic!("{}", name_of_this_test()) };
        (symbol.symbol.clone(), fs::read(ko).unwrap())
    };
    let (alone, first) = symbol(&["secret"]);
    let (beside_another, _) = symbol(&["secret", "extra"]);
    assert_ne!(alone, beside_another);
    assert!(symbol(&["secret"]) == (alone, first), "the first module again makes another patch than before");
}

/// Builds a module for 6.12 whose functions each have a static of one name.
fn make_module(directory: &Path, functions: &[&str]) {
    let mut source =
        "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\"); MODULE_DESCRIPTION(\"test\");\n".to_owned();
    for name in functions {
        source.push_str(&format!(
            "noinline int {name}(int v);\n\
             noinline int {name}(int v) {{ static int limit = 10; limit += v; return limit; }}\n"
        ));
    }
    fs::write(directory.join("klp_test_other.c"), source).unwrap();
    fs::write(directory.join("Kbuild"), "obj-m := klp_test_other.o\n").unwrap();
    let mut make = Command::new("make");
    make.arg("-C").arg(kernel("6.12").kdir).arg(format!("M={}", directory.display())).arg("modules");
    succeed(make.env_remove("MAKEFLAGS"));
}
