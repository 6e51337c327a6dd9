//! What the machine or the kernel lacks is said before anything is built.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{LIVEPATCH, Probe, assert_refused, build};

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
    let directory = tempfile::tempdir().unwrap();
    for name in names {
        let path = cargo_klp::host::tools::find_program(name).unwrap_or_else(|| panic!("no {name}"));
        symlink(path, directory.path().join(name)).unwrap();
    }
    directory
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
