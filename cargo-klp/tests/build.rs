//! `cargo klp build`: what it refuses, and how it says it.
//!
//! Needs a kernel 6.12: `cargo klp doctor --fix --kernel 6.12` gets it.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use object::elf::SHF_GNU_RETAIN;
use object::{Object, ObjectSection};

use support::kernel;

/// Runs `cargo klp build` in a directory.
fn build(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
    command
        .arg("build")
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("build"))
        .env_remove("MAKEFLAGS");
    command
}

/// The exit code and what was said.
fn result(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[track_caller]
fn assert_refused(mut command: Command, code: i32, texts: &[&str]) {
    let (got, said) = result(&mut command);
    assert_eq!(got, code, "{said}");
    for text in texts {
        assert!(said.contains(text), "no {text:?} in:\n{said}");
    }
}

/// A crate with this source. Its name is that of the test: they share a target directory.
struct Probe(tempfile::TempDir);

impl Probe {
    fn new(source: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../klp-runtime");
        let name = std::thread::current().name().unwrap().to_owned();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n[workspace]\n\
             [dependencies]\nklp-runtime = {{ path = {runtime:?} }}\n"
        );
        fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("src/lib.rs"), source).unwrap();
        Self(folder)
    }

    fn build(&self) -> Command {
        build(self.0.path(), &["--kernel", "6.12"])
    }

    /// A Kbuild as `cargo klp new` writes it.
    fn write_kbuild(&self) {
        let name = std::thread::current().name().unwrap().to_owned();
        let kbuild = format!(
            "obj-m := {name}.o\ninclude $(or $(shell $(CARGO_KLP) kbuild $(src)),$(error no cargo klp))\n"
        );
        fs::write(self.0.path().join("Kbuild"), kbuild).unwrap();
    }

    /// Plain make, for the same kernel.
    fn make(&self, arguments: &[&str]) -> Command {
        let kernel = cargo_klp::kernel::KernelQuery::Release("6.12".into());
        let kernel = kernel.find(cargo_klp::kernel::KernelParts::Headers).unwrap();
        let mut make = Command::new("make");
        make.arg("-C")
            .arg(&kernel.kdir)
            .arg(format!("M={}", self.0.path().display()))
            .arg(format!("CARGO_KLP={} klp", env!("CARGO_BIN_EXE_cargo-klp")))
            .args(arguments)
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("build"))
            .env_remove("MAKEFLAGS");
        make
    }
}

/// The start of a patch.
const LIVEPATCH: &str = "#![no_std]
use klp_runtime::prelude::*;
livepatch! { license: \"GPL\", authors: [\"a\"], description: \"d\" }
";

/// A build directory of a kernel with this configuration.
fn kdir(config: &str) -> tempfile::TempDir {
    let kdir = tempfile::tempdir().unwrap();
    fs::create_dir_all(kdir.path().join("include/config")).unwrap();
    fs::write(kdir.path().join("include/config/auto.conf"), config).unwrap();
    fs::write(kdir.path().join("include/config/kernel.release"), "6.99.3-test\n").unwrap();
    kdir
}

/// A directory of programs: the host's own under these names.
fn programs(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = cargo_klp::host::tools::find_program(name).unwrap_or_else(|| panic!("no {name}"));
        symlink(path, folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn a_kernel_that_is_not_here() {
    let patch = Probe::new(LIVEPATCH);
    let command = build(patch.0.path(), &["--kernel", "9.99"]);
    assert_refused(command, 3, &["no kernel 9.99 with headers", "doctor --fix --kernel 9.99"]);
}

#[test]
fn a_kernel_without_livepatch() {
    let patch = Probe::new(LIVEPATCH);
    let kdir = kdir("CONFIG_X86_64=y\nCONFIG_MODULES=y\n");
    let command = build(patch.0.path(), &["--kdir", kdir.path().to_str().unwrap()]);
    assert_refused(command, 1, &["kernel 6.99.3-test was built without CONFIG_LIVEPATCH=y", "help:"]);
}

#[test]
fn a_kernel_that_is_too_old() {
    let patch = Probe::new(LIVEPATCH);
    let kdir = kdir("CONFIG_X86_64=y\nCONFIG_MODULES=y\nCONFIG_LIVEPATCH=y\n");
    fs::write(kdir.path().join("include/config/kernel.release"), "5.10.0-30-amd64\n").unwrap();
    let command = build(patch.0.path(), &["--kdir", kdir.path().to_str().unwrap()]);
    assert_refused(command, 1, &["kernel 5.10.0-30-amd64 is older than 6.1", "doctor --fix --kernel 6.12"]);
}

#[test]
fn a_kernel_of_another_architecture() {
    let patch = Probe::new(LIVEPATCH);
    let kdir = kdir("CONFIG_ARM64=y\nCONFIG_MODULES=y\nCONFIG_LIVEPATCH=y\n");
    let command = build(patch.0.path(), &["--kdir", kdir.path().to_str().unwrap()]);
    assert_refused(command, 1, &["kernel 6.99.3-test is not for x86_64"]);
}

#[test]
fn a_machine_without_tools() {
    let patch = Probe::new(LIVEPATCH);
    for (missing, here) in [
        ("make", &["cargo", "rustc", "gcc", "ld"][..]),
        ("gcc", &["cargo", "rustc", "make", "ld"]),
        ("ld", &["cargo", "rustc", "make", "gcc"]),
    ] {
        let programs = programs(here);
        let mut command = patch.build();
        command.env("PATH", programs.path());
        assert_refused(command, 3, &[&format!("the program `{missing}`"), "is missing", "doctor --fix"]);
    }
}

#[test]
fn a_machine_without_rust_src() {
    let patch = Probe::new(LIVEPATCH);
    // The sources are looked for in the compiler's sysroot and in the cache: one that has none, and
    // one that has kernels only.
    let (programs, cache) =
        (programs(&["cargo", "make", "gcc", "ld", "sh", "objcopy"]), tempfile::tempdir().unwrap());
    let rustc = cargo_klp::host::tools::find_program("rustc").unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = '--print sysroot' ] && echo /nowhere && exit\nexec {} \"$@\"\n",
        rustc.display()
    );
    let fake = programs.path().join("rustc");
    fs::write(&fake, script).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(cargo_klp::host::cache::root().unwrap().join("kernels"), cache.path().join("kernels")).unwrap();

    let path = format!("{}:/usr/bin:/bin", programs.path().display());
    let mut command = patch.build();
    command.env("PATH", path).env("KLP_CACHE", cache.path());
    assert_refused(command, 3, &["(rust-src) is missing", "run `cargo klp doctor --fix`"]);
}

#[test]
fn a_path_with_white_space() {
    let patch = Probe::new(LIVEPATCH);
    let mut command = patch.build();
    command.env("CARGO_TARGET_DIR", patch.0.path().join("two words"));
    assert_refused(command, 1, &["two words", "white space", "set CARGO_TARGET_DIR"]);
}

#[test]
fn a_crate_that_is_no_patch() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/lib.rs"), "").unwrap();
    fs::write(
        folder.path().join("Cargo.toml"),
        "[package]\nname = \"plain\"\nedition = \"2024\"\n[workspace]\n",
    )
    .unwrap();
    let command = build(folder.path(), &["--kernel", "6.12"]);
    assert_refused(command, 1, &["package `plain` is not a livepatch", "cargo klp new"]);
}

#[test]
fn a_folder_without_a_crate() {
    let folder = tempfile::tempdir().unwrap();
    assert_refused(build(folder.path(), &["--kernel", "6.12"]), 1, &["could not find `Cargo.toml`"]);
}

#[test]
fn a_package_that_is_not_in_the_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let command = build(root, &["--kernel", "6.12", "-p", "livepatch-cmdlime"]);
    assert_refused(command, 1, &["there is no package `livepatch-cmdlime`", "livepatch-cmdline"]);
}

#[test]
fn a_patch_without_livepatch() {
    let patch = Probe::new("#![no_std]\nuse klp_runtime as _;\n");
    assert_refused(patch.build(), 1, &["has no `livepatch!`", "write `livepatch! {"]);
}

#[test]
fn a_patch_that_does_not_compile() {
    let patch = Probe::new(&format!("{LIVEPATCH}const N: u32 = \"text\";\n"));
    assert_refused(
        patch.build(),
        1,
        &["mismatched types", "patch `a_patch_that_does_not_compile` does not compile"],
    );
}

#[test]
fn a_symbol_that_the_kernel_does_not_export() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
unsafe extern \"C\" {{ fn no_kernel_has_this(); }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {{ unsafe {{ no_kernel_has_this() }}; 0 }}
"
    ));
    let why = "src/lib.rs:7: `no_kernel_has_this` does not exist as a symbol: it may be an inline function or a macro";
    assert_refused(patch.build(), 1, &[why]);
}

/// What a linker or the compiler lost would be: a line of the manifest without its entry.
#[test]
fn an_entry_that_was_lost() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
core::arch::global_asm!(
    \".pushsection klp_manifest,\\\"\\\",@progbits\",
    \".asciz \\\"func\\\\tvmlinux\\\\tcmdline_proc_show\\\\t0\\\\t-\\\"\",
    \".popsection\"
);
"
    ));
    assert_refused(patch.build(), 1, &["has lost entries: 0 of 1 functions"]);
}

/// The patch's own `Cargo.toml` can't make the module other than it must be.
#[test]
fn a_profile_of_the_patch_changes_nothing() {
    let patch = Probe::new(LIVEPATCH);
    let manifest = patch.0.path().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text + "[profile.release]\nlto = false\npanic = \"unwind\"\ndebug = true\ncodegen-units = 16\n",
    )
    .unwrap();
    let (code, said) = result(&mut patch.build());
    assert_eq!(code, 0, "{said}");
}

/// Built again, nothing is made again; touched, the module is new.
#[test]
fn what_is_up_to_date_is_left_alone() {
    let patch = Probe::new(&format!("{LIVEPATCH}// up to date\n"));
    let made = || {
        let output = patch.build().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let ko = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        fs::metadata(ko).unwrap().modified().unwrap()
    };
    let first = made();
    assert_eq!(made(), first);
    let source = patch.0.path().join("src/lib.rs");
    let added = "#[klp_func(symbol = \"cmdline_proc_show\")]
                 unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int { 0 }\n";
    fs::write(&source, fs::read_to_string(&source).unwrap() + added).unwrap();
    assert!(made() > first);
}

/// A crate that declares symbols. They are looked up though nothing uses them.
fn symbols(declared: &str) -> Probe {
    Probe::new(&format!("{LIVEPATCH}{declared}\n"))
}

#[test]
fn symbols_that_are_exported() {
    let patch =
        symbols("#[klp_symbols]\nunsafe extern \"C\" { fn seq_printf(); static system_state: c_int; }");
    let said =
        |name| format!("`{name}` is exported by vmlinux: declare it in a plain `unsafe extern \"C\"` block");
    assert_refused(patch.build(), 1, &[&said("seq_printf"), &said("system_state")]);
}

#[test]
fn symbols_that_do_not_exist() {
    let patch = symbols(
        "#[klp_symbols]\nunsafe extern \"C\" {
             fn cmdline_proc_shaw();
             static qqqqqqqqqqqqqqqqqqqq: c_int;
             #[klp(static_of = \"do_coredumq\")] static core_dump_count: c_int;
             #[klp(static_of = \"do_coredump\")] static core_dump_coun: c_int;
             #[klp(static_of = \"version_proc_show\", symbol = \"core_dump_count\")] static other: c_int;
         }",
    );
    assert_refused(
        patch.build(),
        1,
        &[
            "`cmdline_proc_shaw` does not exist in vmlinux: the nearest names there are cmdline_proc_show",
            "`qqqqqqqqqqqqqqqqqqqq` does not exist in vmlinux: nothing there has a similar name",
            "`do_coredumq` does not exist in vmlinux, so `core_dump_count` can't be found by it: the nearest names there are \
             do_coredump",
            "`core_dump_coun` of `do_coredump` does not exist in vmlinux: no variable there has that name and a number after it",
            "`core_dump_count` of `version_proc_show` is not found in vmlinux: the function's code refers to none of these",
            "6.12.",
        ],
    );
}

#[test]
fn symbols_that_are_not_unique() {
    let patch = symbols(
        "#[klp_symbols]\nunsafe extern \"C\" {
             fn c_start();
             #[klp(sympos = 9, symbol = \"c_start\")] fn ninth();
             #[klp(sympos = 3, symbol = \"c_start\")] fn third();
         }",
    );
    assert_refused(
        patch.build(),
        1,
        &[
            "`c_start` is not unique in vmlinux: write `#[klp(sympos = …)]` with the position of the one you mean:",
            "sympos = 1: `t` at 0xffffffff8",
            "sympos = 2: `t` at 0xffffffff8",
            "sympos = 3: `t` at 0xffffffff8",
            ", between ",
            "`c_start` has no position 9 in vmlinux: write `#[klp(sympos = …)]` with one of these positions:",
        ],
    );
}

#[test]
fn symbols_that_are_something_else() {
    let patch = symbols(
        "#[klp_symbols]\nunsafe extern \"C\" {
             static cmdline_proc_show: c_int;
             fn saved_command_line();
             fn start_kernel();
             static mut runqueues: c_int;
         }",
    );
    assert_refused(
        patch.build(),
        1,
        &[
            "`cmdline_proc_show` of vmlinux is code: declare it as `fn`",
            "`saved_command_line` of vmlinux is data: declare it as `static`",
            "`start_kernel` of vmlinux can't be used: it is `__init`, which the kernel frees after boot",
            "`runqueues` of vmlinux is a per-CPU variable: its address is an offset",
            "declare a function of vmlinux that reads or writes it",
        ],
    );
}

#[test]
fn symbols_of_an_object_that_is_not_there() {
    let refused = |object, texts: &[&str]| {
        let block = format!("#[klp_symbols(object = {object:?})]\nunsafe extern \"C\" {{ fn f(); }}");
        assert_refused(symbols(&block).build(), 1, texts);
    };
    refused("no_such_module", &["has no module `no_such_module`: ", "--module PATH"]);
    refused("amd_uncore", &["has no module `amd_uncore`: it is built in", "leave `object` out"]);
    refused("nf_tables", &["`f` does not exist in nf_tables"]);
}

/// A module's exports are not for a plain block: it may come later.
#[test]
fn symbols_that_a_module_exports() {
    let patch = symbols(
        "#[klp_symbols(object = \"nf_tables\")]\nunsafe extern \"C\" { fn nft_do_chain(); }
         #[klp_func(symbol = \"cmdline_proc_show\")]
         unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int { unsafe { nft_do_chain() }; 0 }",
    );
    let (code, said) = result(&mut patch.build());
    assert_eq!(code, 0, "{said}");
}

/// Plain make does all of it, from a Kbuild as `cargo klp new` writes it.
#[test]
fn symbols_by_plain_make() {
    let patch = symbols(
        "#[klp_symbols]\nunsafe extern \"C\" { static saved_command_line: *const c_char; }
         #[klp_func(symbol = \"cmdline_proc_show\")]
         unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {
             unsafe { (saved_command_line.addr() % 2) as c_int }
         }",
    );
    let kbuild = "obj-m := symbols_by_plain_make.o\n\
                  include $(or $(shell $(CARGO_KLP) kbuild $(src)),$(error no cargo klp))\n";
    fs::write(patch.0.path().join("Kbuild"), kbuild).unwrap();
    let kernel = kernel("6.12");
    let make = |arguments: &[&str]| {
        let mut make = Command::new("make");
        make.arg("-C")
            .arg(&kernel.kdir)
            .arg(format!("M={}", patch.0.path().display()))
            .arg(format!("CARGO_KLP={} klp", env!("CARGO_BIN_EXE_cargo-klp")))
            .args(arguments)
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("build"))
            .env_remove("MAKEFLAGS");
        let (code, said) = result(&mut make);
        assert_eq!(code, 0, "{said}");
    };
    let needs = || {
        cargo_klp::patch::inspect::inspect(&patch.0.path().join("symbols_by_plain_make.ko")).unwrap().symbols
    };
    for _ in 0..2 {
        make(&["modules"]);
        let [symbol] = &*needs().livepatch else { panic!("{:?}", needs()) };
        assert_eq!((&*symbol.symbol, symbol.resolved), ("saved_command_line", true));
    }
    make(&["clean"]);
    let left: Vec<_> =
        fs::read_dir(patch.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains(".ko")), "{left:?}");
    // Linked without the last step it would load, with NULL for the symbol: the glue refuses it.
    make(&["modules", "klp-finish=mv"]);
    assert!(!needs().livepatch[0].resolved);
}

/// Whether a build ran make.
#[track_caller]
fn makes(command: &mut Command) -> bool {
    let (code, said) = result(command);
    assert_eq!(code, 0, "{said}");
    said.contains("Building")
}

/// Makes a file look as if it had been written just now.
fn touch(path: &Path) {
    fs::File::options().append(true).open(path).unwrap().set_modified(SystemTime::now()).unwrap();
}

/// A build directory like another, whose own files are links to those of the other but for the Makefile.
fn like(kdir: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(kdir).unwrap().map(Result::unwrap) {
        let to = folder.path().join(entry.file_name());
        if entry.file_name() == "Makefile" {
            fs::copy(entry.path(), to).unwrap();
        } else {
            symlink(entry.path(), to).unwrap();
        }
    }
    folder
}

#[test]
fn make_is_run_where_something_changed() {
    let probe = Probe::new(LIVEPATCH);
    let tools = tempfile::tempdir().unwrap();
    // The compiler that Debian's headers ask for, as one that can be changed.
    let kernel = kernel("6.12");
    let name = format!("x86_64-linux-gnu-{}", kernel.compiler().expect("Debian's headers name one"));
    let real = cargo_klp::host::tools::find_program(&name).unwrap_or_else(|| panic!("no {name}"));
    let compiler = tools.path().join(name);
    fs::write(&compiler, format!("#!/bin/sh\nexec {} \"$@\"\n", real.display())).unwrap();
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755)).unwrap();
    let this = tools.path().join("cargo-klp");
    fs::copy(env!("CARGO_BIN_EXE_cargo-klp"), &this).unwrap();
    let module = tools.path().join("dummy.ko");
    fs::write(&module, dummy()).unwrap();
    let kdir = like(&kernel.kdir);
    let runtime = copied_runtime(tools.path());
    let manifest = probe.0.path().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../klp-runtime");
    fs::write(&manifest, text.replace(&format!("{original:?}"), &format!("{runtime:?}"))).unwrap();

    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let build = |arguments: &[&str]| {
        let mut command = Command::new(&this);
        command
            .args(["build", "--kdir"])
            .arg(kdir.path())
            .args(arguments)
            .current_dir(probe.0.path())
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("build"))
            .env("PATH", &path)
            .env_remove("MAKEFLAGS");
        command
    };
    assert!(makes(&mut build(&[])), "the first build");
    assert!(!makes(&mut build(&[])), "nothing has changed");

    let other_environment = || {
        let mut command = build(&[]);
        command.env("KCFLAGS", "-DKLP_TEST");
        command
    };
    assert!(makes(&mut other_environment()), "other flags");
    assert!(!makes(&mut other_environment()), "the same flags");
    assert!(makes(&mut build(&[])), "the first flags again");

    let with_module = ["--module", module.to_str().unwrap()];
    assert!(makes(&mut build(&with_module)), "a module to get symbols of");
    assert!(!makes(&mut build(&with_module)));
    touch(&module);
    assert!(!makes(&mut build(&with_module)), "times decide nothing");
    fs::write(&module, [dummy(), b"changed".into()].concat()).unwrap();
    assert!(makes(&mut build(&with_module)), "that module changed");
    assert!(makes(&mut build(&[])));

    let source = probe.0.path().join("src/lib.rs");
    let glue = runtime.join("kbuild/klp_glue.c");
    let script = runtime.join("kbuild/klp.lds");
    let makefile = kdir.path().join("Makefile");
    for (changed, added) in [
        (&source, "#[used]\nstatic CHANGED: u8 = 1;\n"),
        (&glue, "/* changed */\n"),
        (&script, "/* changed */\n"),
        (&compiler, "# changed\n"),
        (&this, "changed"),
        (&makefile, "# changed\n"),
    ] {
        touch(changed);
        assert!(!makes(&mut build(&[])), "only the time of {} has changed", changed.display());
        // With the time and nearly the size that it had.
        let modified = fs::metadata(changed).unwrap().modified().unwrap();
        let mut file = fs::File::options().append(true).open(changed).unwrap();
        file.write_all(added.as_bytes()).unwrap();
        file.set_modified(modified).unwrap();
        drop(file);
        assert!(makes(&mut build(&[])), "{} has changed", changed.display());
    }

    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build/klp");
    let built = fs::read_dir(target)
        .unwrap()
        .map(|release| release.unwrap().path().join(std::thread::current().name().unwrap()));
    let built: Vec<PathBuf> = built.filter(|folder| folder.is_dir()).collect();
    assert_eq!(built.len(), 1);
    let ko = built[0].join(format!("{}.ko", std::thread::current().name().unwrap()));
    assert!(!makes(&mut build(&[])));
    fs::remove_file(&ko).unwrap();
    assert!(makes(&mut build(&[])), "the module is gone");
    // A crate without the feature of the last build, which only cargo knows.
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap() + "[features]\ndefault = [\"f\"]\nf = []\n")
        .unwrap();
    assert!(makes(&mut build(&[])), "a feature");
    assert!(!makes(&mut build(&[])));
}

/// A copy of the runtime and the macros in a directory, so that files of them can be changed.
fn copied_runtime(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for part in ["klp-runtime", "klp-macros", "klp-btf", "klp-format"] {
        let copied = Command::new("cp").args(["-r"]).arg(root.join(part)).arg(folder).status().unwrap();
        assert!(copied.success());
    }
    let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (start, rest) = workspace.split_once("members = [").unwrap();
    let (_, rest) = rest.split_once("]\n").unwrap();
    let workspace =
        format!("{start}members = [\"klp-runtime\", \"klp-macros\", \"klp-btf\", \"klp-format\"]\n{rest}");
    let (workspace, _) = workspace.split_once("[profile.test.package").unwrap();
    fs::write(folder.join("Cargo.toml"), workspace).unwrap();
    folder.join("klp-runtime")
}

#[test]
fn originals_that_can_not_be_called() {
    let patch = symbols(
        "macro_rules! redirect { ($($symbol:literal $name:ident $original:ident)*) => { $(
             #[klp_func(symbol = $symbol, original = $original)]
             unsafe extern \"C\" fn $name() { unsafe { $original() } }
         )* } }
         redirect! {
             \"entry_SYSCALL_64\" a original_a
             \"c_start\" b original_b
             \"pipe_max_size\" c original_c
             \"cmdline_proc_shaw\" d original_d
         }",
    );
    let texts = [
        "`entry_SYSCALL_64` of vmlinux can't be redirected: it has no ftrace entry",
        "`c_start` is not unique in vmlinux: write `sympos = …` with the position of the one you mean:",
        "`pipe_max_size` of vmlinux can't be redirected: it is data",
        "`cmdline_proc_shaw` does not exist in vmlinux: the nearest names there are cmdline_proc_show",
    ];
    assert_refused(patch.build(), 1, &texts);
}

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

/// The module of a test's package, wherever it is.
fn modules_of_this_test() -> Vec<PathBuf> {
    let name = std::thread::current().name().unwrap().to_owned();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build/klp");
    let releases = fs::read_dir(target).unwrap().map(|release| release.unwrap().path());
    releases.map(|release| release.join(&name).join(format!("{name}.ko"))).filter(|ko| ko.exists()).collect()
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
    let by_modpost = Probe::new(&format!(
        "{LIVEPATCH}
#[inline(never)]
#[unsafe(link_section = \".init.text\")]
fn gone(number: usize) -> c_int {{ core::hint::black_box(number) as c_int }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(m: *mut seq_file, _v: *mut c_void) -> c_int {{ gone(m.addr()) }}
"
    ));
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

/// The same by plain make, which goes on after a tool's warning.
#[test]
fn what_plain_make_refused_it_refuses_again() {
    let patch = Probe::new(&format!("{LIVEPATCH}{UNSEALED}"));
    patch.write_kbuild();
    for _ in 0..3 {
        let (code, said) = result(&mut patch.make(&["modules"]));
        assert_ne!(code, 0, "{said}");
        assert!(said.contains("objtool warned of the module"), "{said}");
        assert!(!patch.0.path().join("what_plain_make_refused_it_refuses_again.ko").exists());
    }
}

/// The same source makes the same module, bit for bit, wherever it is built; another source has another
/// build ID and srcversion. No path of this machine is in it.
#[test]
fn a_module_is_the_same_from_two_directories() {
    let source = |text: &str| {
        format!(
            "#![no_std]
use klp_runtime::prelude::*;
livepatch! {{ license: \"GPL\", authors: [\"a\"], description: \"d\", version: \"1\" }}
struct Counted;
#[klp_state(id = 1, version = 1)]
impl State for Counted {{
    type Data = u64;
    fn pre_patch(_cx: &StateContext<'_>) -> Result<u64> {{ Ok(1) }}
    fn post_patch(_cx: &StateContext<'_>, data: &u64) {{ pr_info!({text:?}, [1, 2][*data as usize]); }}
}}
"
        )
    };
    // Of two directories, with a target directory each; behind links, so that what all patches share is
    // compiled once.
    let (long, short) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let long = long.path().join("a/directory/with/a/long/name");
    fs::create_dir_all(&long).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build");
    fs::create_dir_all(&target).unwrap();
    let built = |directory: &Path, text: &str| {
        let patch = Probe::new(&source(text));
        let (krate, link) = (directory.join("patch"), directory.join("target"));
        let _ = (fs::remove_dir_all(&krate), fs::remove_file(&link));
        fs::rename(patch.0.path(), &krate).unwrap();
        symlink(&target, &link).unwrap();
        let output = build(&krate, &["--kernel", "6.12"]).env("CARGO_TARGET_DIR", &link).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let ko = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        (fs::read(&ko).unwrap(), ko)
    };
    let (first, ko) = built(short.path(), "first {}");
    assert!(ko.starts_with(short.path()), "{}", ko.display());
    assert!(first == built(&long, "first {}").0, "two directories make two modules");
    let (second, _) = built(&long, "second {}");
    let id = |data: &[u8]| object::File::parse(data).unwrap().build_id().unwrap().unwrap().to_vec();
    assert_ne!(id(&first), id(&second));
    let srcversion = |data: &[u8]| {
        let modinfo =
            cargo_klp::patch::inspect::modinfo::Modinfo::read(&object::File::parse(data).unwrap()).unwrap();
        modinfo.get("srcversion").unwrap().to_owned()
    };
    assert_ne!(srcversion(&first), srcversion(&second));

    let kernel = cargo_klp::kernel::KernelQuery::Release("6.12".into());
    let kernel = kernel.find(cargo_klp::kernel::KernelParts::Headers).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for path in [short.path(), &*long, &target, root, &kernel.kdir, &cargo_klp::host::cache::root().unwrap()]
    {
        let path = path.to_str().unwrap();
        assert!(!first.windows(path.len()).any(|bytes| bytes == path.as_bytes()), "{path} is in the module");
    }
}

/// What a module has of a feature, a version or a static follows each change, there and back: cargo then puts
/// an older library back, with its old time.
#[test]
fn a_module_follows_its_features_there_and_back() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
unsafe extern \"C\" {{ fn seq_printf(m: *mut seq_file, format: *const c_char, ...); }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(m: *mut seq_file, _v: *mut c_void) -> c_int {{
    let text = if cfg!(feature = \"extra\") {{ c\"it has extra\" }} else {{ c\"it is plain\" }};
    unsafe {{ seq_printf(m, text.as_ptr()) }};
    0
}}
"
    ));
    let toml = patch.0.path().join("Cargo.toml");
    let manifest = fs::read_to_string(&toml).unwrap();
    let mut made = Vec::new();
    for default in ["", "\"extra\"", "", "\"extra\""] {
        fs::write(&toml, format!("{manifest}[features]\ndefault = [{default}]\nextra = []\n")).unwrap();
        let output = patch.build().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let data = fs::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
        let has = |text: &str| data.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        assert_eq!((has("it has extra"), has("it is plain")), (!default.is_empty(), default.is_empty()));
        made.push(data);
    }
    assert!(made[0] == made[2], "without the feature it is another module than before");
    assert!(made[1] == made[3], "with the feature it is another module than before");
}

/// Builds of one patch wait for each other and say so; each then has a right module.
#[test]
fn builds_at_once_wait_for_each_other() {
    let patch = Probe::new(LIVEPATCH);
    let source = patch.0.path().join("src/lib.rs");
    for round in 0..2 {
        fs::write(&source, format!("{LIVEPATCH}#[used]\nstatic ROUND: u64 = {round};\n")).unwrap();
        let said = std::thread::scope(|scope| {
            let builds = [(); 3].map(|()| scope.spawn(|| result(&mut patch.build())));
            builds.map(|build| build.join().unwrap())
        });
        assert!(said.iter().all(|(code, _)| *code == 0), "{said:#?}");
        let waited = said.iter().filter(|(_, said)| said.contains("Waiting")).count();
        let built = said.iter().filter(|(_, said)| said.contains("Building")).count();
        // Tests that run at once have one more thing to wait for.
        assert!(waited >= 2 && built == 1, "{said:#?}");
    }
}

/// A build that is killed leaves no module, and the next one is right.
#[test]
fn a_killed_build_leaves_no_module() {
    let patch = Probe::new(LIVEPATCH);
    let source = patch.0.path().join("src/lib.rs");
    let built = || {
        let output = patch.build().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap()
    };
    let first = built();
    // A C compiler that kills the build: the Rust half is new by then, and the glue old.
    let tools = tempfile::tempdir().unwrap();
    // Debian's headers ask for the linker by this name.
    let linker = tools.path().join("x86_64-linux-gnu-ld");
    fs::write(&linker, "#!/bin/sh\ncase \"$*\" in *--build-id*) kill -9 0;; esac\nexec /usr/bin/ld \"$@\"\n")
        .unwrap();
    fs::set_permissions(&linker, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&source, format!("{LIVEPATCH}#[used]\nstatic ADDED: u64 = 1;\n")).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let mut killed = patch.build();
    killed.env("PATH", path).process_group(0);
    assert!(killed.output().unwrap().status.code().is_none());
    assert_eq!(modules_of_this_test(), Vec::<PathBuf>::new());
    assert!(built() != first);
    fs::write(&source, LIVEPATCH).unwrap();
    assert!(built() == first, "what the killed build left is in the module");
}

/// One of the kernel's own modules, unpacked.
fn dummy() -> Vec<u8> {
    let kernel = kernel("6.12");
    let packed = kernel.modules.unwrap().join("kernel/drivers/net/dummy.ko.xz");
    cargo_klp::kernel::image::decompress(&fs::read(packed).unwrap()).unwrap()
}

#[test]
fn modules_that_are_not_what_they_seem() {
    let patch = Probe::new(LIVEPATCH);
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, data: &[u8]| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, data).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut other = dummy();
    let at = other.windows(14).position(|bytes| bytes == b"vermagic=6.12.").unwrap();
    other[at + 9] = b'5';
    let good = file("dummy.ko", &dummy());
    let refused = |modules: &[&str], texts: &[&str]| {
        let arguments = modules.iter().flat_map(|module| ["--module", module]);
        let arguments: Vec<&str> = ["--kernel", "6.12"].into_iter().chain(arguments).collect();
        assert_refused(build(patch.0.path(), &arguments), 1, texts);
    };
    for (name, data, why) in [
        ("gzip.ko.gz", &b"\x1f\x8b\x08"[..], "gzip.ko.gz` is compressed with gzip"),
        ("empty.ko", b"", "empty.ko` is not a kernel module"),
        ("text.ko", b"hello", "text.ko` is not a kernel module"),
        ("dummy", &dummy(), "dummy` is not called NAME.ko"),
        ("other/dummy.ko", &other, "is for kernel 5.12."),
        ("two words/dummy.ko", &dummy(), "has white space in its path"),
    ] {
        refused(&[&file(name, data)], &[why]);
    }
    refused(&[&good, &file("again/dummy.ko", &dummy())], &["has the same name, dummy, as `"]);
}

/// cargo names a package by the path that it was given.
#[test]
fn a_crate_behind_a_link() {
    let patch = Probe::new(LIVEPATCH);
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("link");
    symlink(patch.0.path(), &link).unwrap();
    let manifest = link.join("Cargo.toml");
    let arguments = ["--kernel", "6.12", "--manifest-path", manifest.to_str().unwrap()];
    let (code, said) = result(&mut build(directory.path(), &arguments));
    assert_eq!(code, 0, "{said}");
}

/// Nothing in a path is run as a command.
#[test]
fn paths_that_the_shell_would_misread() {
    let patch = Probe::new(LIVEPATCH);
    let directory = tempfile::tempdir().unwrap();
    for name in ["a;touch x;b", "a$b", "a'b", "a(b"] {
        let krate = directory.path().join(name);
        fs::create_dir(&krate).unwrap();
        for part in ["Cargo.toml", "src"] {
            symlink(patch.0.path().join(part), krate.join(part)).unwrap();
        }
        assert_refused(build(&krate, &["--kernel", "6.12"]), 1, &["in its path", "move the crate"]);
        assert!(!krate.join("x").exists() && !directory.path().join("x").exists());
    }
}

/// Each module has a name of its own, and one name.
#[test]
fn names_that_two_modules_would_have() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../klp-runtime");
    for name in ["fix-dash", "fix_dash", "nf_tables", "vmlinux", "ext4", "renamed"] {
        fs::create_dir_all(root.join(name).join("src")).unwrap();
        fs::write(root.join(name).join("src/lib.rs"), LIVEPATCH).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n[dependencies]\nklp-runtime = {{ path = {runtime:?} }}\n"
        );
        fs::write(root.join(name).join("Cargo.toml"), manifest).unwrap();
    }
    fs::write(root.join("renamed/Kbuild"), "obj-m := old_name.o\n").unwrap();
    fs::write(root.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n").unwrap();
    let refused = |name: &str, texts: &[&str]| {
        assert_refused(build(root, &["--kernel", "6.12", "-p", name]), 1, texts);
    };
    refused("fix-dash", &["the patches `fix-dash` and `fix_dash` would both be the module fix_dash"]);
    for name in ["nf_tables", "vmlinux", "ext4"] {
        refused(name, &[&format!("the patch `{name}` has the name of an object of kernel 6.12.")]);
    }
    refused(
        "renamed",
        &["makes old_name.ko, and the package `renamed` is the module renamed", "obj-m := renamed.o"],
    );
}

/// As gcc does it for the kernel's own code: a warning from CONFIG_FRAME_WARN on. Half of a stack is too much.
#[test]
fn frames_are_held_against_the_stack() {
    let patch = |bytes: u32| {
        Probe::new(&format!(
            "{LIVEPATCH}
#[inline(never)]
fn fill(buffer: &mut [u8; {bytes}], value: u8) {{
    buffer.iter_mut().enumerate().for_each(|(index, byte)| *byte = value.wrapping_add(index as u8));
}}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn large(_m: *mut seq_file, v: *mut c_void) -> c_int {{
    let mut buffer = [0; {bytes}];
    fill(&mut buffer, v.addr() as u8);
    core::hint::black_box(&buffer)[v.addr() % {bytes}].into()
}}
"
        ))
    };
    let said = |bytes: u32| result(&mut patch(bytes).build());
    let (code, quiet) = said(1500);
    assert!(code == 0 && !quiet.contains("warning"), "{quiet}");
    let (code, warned) = said(3000);
    let warning = "warning: src/lib.rs:9: `frames_are_held_against_the_stack::large` takes 30";
    assert!(code == 0 && warned.contains(warning) && warned.contains("2048 (CONFIG_FRAME_WARN)"), "{warned}");
    for bytes in [12000, 24000] {
        let (code, refused) = said(bytes);
        let fault =
            format!("src/lib.rs:9: `frames_are_held_against_the_stack::large` takes {}", bytes / 1000);
        assert!(
            code == 1 && refused.contains(&fault) && refused.contains("a task has 16384 bytes"),
            "{refused}"
        );
        assert!(!refused.contains("objtool"), "{refused}");
    }
}

/// What the compiler calls by itself, and what C's headers have: each with its place and what to write.
#[test]
fn symbols_that_no_kernel_has() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
unsafe extern \"C\" {{ fn cmdline_proc_show(m: *mut seq_file, v: *mut c_void) -> c_int; fn spin_lock(); }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(m: *mut seq_file, v: *mut c_void) -> c_int {{
    let float = v.addr() as f64 * 1.5;
    let large = (v.addr() as u128) << 64 | 7;
    let half = (large / (m.addr() as u128 | 1)) as c_int;
    unsafe {{ spin_lock() }};
    float as c_int + half + unsafe {{ cmdline_proc_show(m, v) }}
}}
"
    ));
    let texts = [
        "src/lib.rs:8: `__floatundidf` is called for floating-point numbers",
        "src/lib.rs:10: `__udivti3` is called to multiply, divide or shift 128-bit numbers",
        "src/lib.rs:11: `spin_lock` does not exist as a symbol: it may be an inline function or a macro",
        "src/lib.rs:12: `cmdline_proc_show` exists, and is not exported: declare it",
    ];
    assert_refused(patch.build(), 1, &texts);
}

/// A note of rustc's that names a C file is not a tool's warning.
#[test]
fn warnings_of_rustc_are_not_those_of_tools() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
#[deprecated(note = \"see fs/proc/cmdline.c: it is not needed\")]
fn old() -> c_int {{ 3 }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {{ old() }}
"
    ));
    let (code, said) = result(&mut patch.build());
    assert!(code == 0 && said.contains("see fs/proc/cmdline.c: it is not needed"), "{said}");
}
