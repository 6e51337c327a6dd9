//! `cargo klp build`: what it refuses, and how it says it.
//!
//! Needs a kernel 6.12: `cargo klp doctor --fix --kernel 6.12` gets it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs `cargo klp build` in a folder.
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

/// A crate with this source. Its name is that of the test: they share a target folder.
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
    fs::write(kdir.path().join("include/config/kernel.release"), "1.2.3-test\n").unwrap();
    kdir
}

/// A folder of programs: the host's own under these names.
fn programs(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = cargo_klp::doctor::find_program(name).unwrap_or_else(|| panic!("no {name}"));
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
    assert_refused(command, 1, &["kernel 1.2.3-test was built without CONFIG_LIVEPATCH=y", "help:"]);
}

#[test]
fn a_kernel_of_another_architecture() {
    let patch = Probe::new(LIVEPATCH);
    let kdir = kdir("CONFIG_ARM64=y\nCONFIG_MODULES=y\nCONFIG_LIVEPATCH=y\n");
    let command = build(patch.0.path(), &["--kdir", kdir.path().to_str().unwrap()]);
    assert_refused(command, 1, &["kernel 1.2.3-test is not for x86_64"]);
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
    let rustc = cargo_klp::doctor::find_program("rustc").unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = '--print sysroot' ] && echo /nowhere && exit\nexec {} \"$@\"\n",
        rustc.display()
    );
    let fake = programs.path().join("rustc");
    fs::write(&fake, script).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(cargo_klp::cache::root().unwrap().join("kernels"), cache.path().join("kernels")).unwrap();

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
unsafe extern \"C\" fn f() {{ unsafe {{ no_kernel_has_this() }} }}
"
    ));
    assert_refused(patch.build(), 1, &["modpost", "no_kernel_has_this"]);
}

/// What a linker or the compiler lost would be: a line of the manifest without its entry.
#[test]
fn an_entry_that_was_lost() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
core::arch::global_asm!(
    \".pushsection klp_manifest,\\\"\\\",@progbits\",
    \".asciz \\\"func\\\\tvmlinux\\\\tlost\\\\t0\\\"\",
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
    let added = "#[klp_func(symbol = \"cmdline_proc_show\")]\nunsafe extern \"C\" fn f() {}\n";
    fs::write(&source, fs::read_to_string(&source).unwrap() + added).unwrap();
    assert!(made() > first);
}
