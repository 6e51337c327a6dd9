//! What cargo calls the patch, where it stands, and what its manifest says.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{LIVEPATCH, Probe, assert_refused, build, result};

#[test]
fn a_path_with_white_space() {
    let patch = Probe::new(LIVEPATCH);
    let mut command = patch.build();
    command.env("CARGO_TARGET_DIR", patch.0.path().join("two words"));
    assert_refused(command, 1, &["two words", "white space", "set CARGO_TARGET_DIR"]);
}

#[test]
fn a_crate_that_is_no_patch() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("src")).unwrap();
    fs::write(directory.path().join("src/lib.rs"), "").unwrap();
    fs::write(
        directory.path().join("Cargo.toml"),
        "[package]\nname = \"plain\"\nedition = \"2024\"\n[workspace]\n",
    )
    .unwrap();
    let command = build(directory.path(), &["--kernel", "6.12"]);
    assert_refused(command, 1, &["package `plain` is not a livepatch", "cargo klp new"]);
}

#[test]
fn a_directory_without_a_crate() {
    let directory = tempfile::tempdir().unwrap();
    let texts = ["there is no Cargo.toml in", "`cargo klp new NAME` creates a patch"];
    assert_refused(build(directory.path(), &["--kernel", "6.12"]), 1, &texts);
    let command = build(directory.path(), &["--kernel", "6.12", "--manifest-path", "x/Cargo.toml"]);
    assert_refused(command, 1, &["`x/Cargo.toml` does not exist", "`--manifest-path`"]);
    let command = build(directory.path(), &["--kernel", "6.12", "--manifest-path", "."]);
    assert_refused(command, 1, &["`.` is a directory, not a Cargo.toml", "`--manifest-path`"]);
}

#[test]
fn a_package_that_is_not_in_the_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let command = build(root, &["--kernel", "6.12", "-p", "livepatch-cmdlime"]);
    assert_refused(command, 1, &["there is no package `livepatch-cmdlime`", "livepatch-cmdline"]);
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
        &["makes old_name.ko, but the package `renamed` is the module renamed", "obj-m := renamed.o"],
    );
}

/// What no check of a patch can see is said once for all patches, and not where nothing is built.
#[test]
fn what_patches_have_in_common_is_said_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../klp-runtime");
    let names = ["said-once-a", "said-once-b"];
    for name in names {
        fs::create_dir_all(root.join(name).join("src")).unwrap();
        let source = format!(
            "{LIVEPATCH}#[klp_func(symbol = \"cmdline_proc_show\")]\n\
             unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {{ 0 }}\n"
        );
        fs::write(root.join(name).join("src/lib.rs"), source).unwrap();
        let manifest = format!(
            "[package]\nname = {name:?}\nedition = \"2024\"\n[dependencies]\nklp-runtime = {{ path = {runtime:?} }}\n"
        );
        fs::write(root.join(name).join("Cargo.toml"), manifest).unwrap();
    }
    fs::write(root.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n").unwrap();
    // A cache without the debug information that this machine may have.
    let cache = tempfile::tempdir().unwrap();
    for part in ["kernels", "boot", "btf", "rust-src", "symbols", "sysroots"] {
        symlink(cargo_klp::host::cache::root().unwrap().join(part), cache.path().join(part)).unwrap();
    }
    let notes = || {
        let mut command = build(root, &["--kernel", "6.12", "-p", names[0], "-p", names[1]]);
        let (code, said) = result(command.env("KLP_CACHE", cache.path()));
        assert_eq!(code, 0, "{said}");
        said.matches("note: no debug information of vmlinux").count()
    };
    assert_eq!(notes(), 1);
    assert_eq!(notes(), 0);
}
