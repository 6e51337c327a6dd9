//! What the machine or the kernel lacks is said before anything is built.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::support::kernel;
use super::{LIVEPATCH, Probe, assert_refused, build, result};

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
    for (wanted, texts) in [
        ("5.10", ["kernel 5.10 is older than 6.1", "doctor --fix --kernel 6.12"]),
        ("abc", ["`abc` is not a kernel release or series", "write a series such as `6.12`"]),
    ] {
        assert_refused(build(patch.0.path(), &["--kernel", wanted]), 1, &texts);
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
        doctor.args(["doctor", "--fix", "--kernel", wanted]);
        assert_refused(doctor, 1, &texts);
    }
}

#[test]
fn a_machine_without_apt() {
    let cache = tempfile::tempdir().unwrap();
    let programs = programs(&["cargo", "rustc", "make", "gcc", "ld", "pahole"]);
    let mut command = doctor(cache.path());
    command.env("PATH", programs.path());
    let texts = ["downloads kernels and Rust's sources with apt, which this machine lacks", "with `--kdir`"];
    assert_refused(command, 1, &texts);
}

#[test]
fn a_directory_that_make_can_not_write_to() {
    // Root can write to every directory that is there.
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../klp-runtime/kbuild/klp.mk");
    let mut make = Command::new("make");
    make.args(["-f", rules, "obj=/nowhere"]).env_remove("MAKEFLAGS");
    assert_refused(make, 2, &["cannot write to /nowhere", "use `cargo klp build` with CARGO_TARGET_DIR"]);
}

#[test]
fn a_build_directory_that_is_not_there() {
    let patch = Probe::new(LIVEPATCH);
    let command = build(patch.0.path(), &["--kdir", "/nowhere"]);
    let texts = ["`/nowhere` is not a kernel build directory: No such file", "give the directory that"];
    assert_refused(command, 1, &texts);
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
    let kdir = kdir("CONFIG_PPC=y\nCONFIG_PPC64=y\nCONFIG_MODULES=y\nCONFIG_LIVEPATCH=y\n");
    let command = build(patch.0.path(), &["--kdir", kdir.path().to_str().unwrap()]);
    assert_refused(command, 1, &["kernel 6.99.3-test is for powerpc", "ARCHITECTURE.md"]);
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

/// A cache with a kernel 6.12 whose image is a copy, and with everything that was made of the sound image.
fn cache_with_a_copied_image() -> (tempfile::TempDir, PathBuf) {
    let cache = tempfile::tempdir().unwrap();
    let real = cargo_klp::host::cache::root().unwrap();
    let kernel = kernel("6.12");
    let release = kernel.release.as_str();
    let root = cache.path().join("kernels").join(release).join("root");
    fs::create_dir_all(root.join("boot")).unwrap();
    for part in ["lib", "usr"] {
        symlink(real.join("kernels").join(release).join("root").join(part), root.join(part)).unwrap();
    }
    symlink(real.join("boot"), cache.path().join("boot")).unwrap();
    let image = root.join(format!("boot/vmlinuz-{release}"));
    fs::copy(kernel.image.unwrap(), &image).unwrap();
    (cache, image)
}

fn doctor(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
    command.args(["doctor", "--fix", "--kernel", "6.12"]).env("KLP_CACHE", cache);
    command
}

fn types(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
    command.args(["types", "dummy", "--kernel", "6.12"]).env("KLP_CACHE", cache);
    command
}

/// What was made of a file is not taken for another file: not even if its start and its end are the same.
#[test]
fn an_image_that_is_damaged() {
    let (cache, image) = cache_with_a_copied_image();
    assert_eq!(result(&mut types(cache.path())).0, 0);
    let mut data = fs::read(&image).unwrap();
    let middle = data.len() / 2;
    data[middle..middle + 1000].fill(0);
    fs::write(&image, data).unwrap();
    let texts = [&format!("`{}` can't be used", image.display()), "doctor --fix --kernel 6.12"];
    assert_refused(types(cache.path()), 1, &texts.map(AsRef::as_ref));
}

/// A file of the cache that lost its contents is not taken for a kernel without types.
#[test]
fn a_file_of_types_that_is_empty() {
    let (cache, _) = cache_with_a_copied_image();
    assert_eq!(result(&mut types(cache.path())).0, 0);
    for entry in fs::read_dir(cache.path().join("btf")).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.join("vmlinux").exists() {
            fs::write(entry.join("vmlinux"), "").unwrap();
        }
    }
    assert_refused(types(cache.path()), 1, &["vmlinux` can't be used: it is empty", "`rm -r "]);
}

/// `cargo klp doctor | head` is no crash.
#[test]
fn a_reader_that_has_gone() {
    let cache = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
    doctor.arg("doctor").env("KLP_CACHE", cache.path()).stdout(writer).stderr(Stdio::piped());
    let output = doctor.spawn().unwrap().wait_with_output().unwrap();
    assert!(output.status.code().is_none(), "it goes on printing");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_cache_that_is_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let texts = ["the cache `", "` is not a directory", "set KLP_CACHE to a directory"];
    assert_refused(types(file.path()), 1, &texts);
}

#[test]
fn directories_that_can_not_be_made() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let patch = Probe::new(LIVEPATCH);
    let check = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
    let texts = ["cannot create `", "set CARGO_TARGET_DIR to a directory that you can write to"];
    for (mut command, arguments) in [(patch.build(), [].as_slice()), (check, &["check", "--kernel", "6.12"])]
    {
        command.args(arguments).current_dir(patch.0.path());
        command.env("CARGO_TARGET_DIR", file.path().join("target"));
        assert_refused(command, 1, &texts);
    }
    let texts = ["cannot create `/proc/klp/", "set KLP_CACHE to a directory that you can write to"];
    assert_refused(doctor("/proc/klp".as_ref()), 1, &texts);
}

#[test]
fn a_machine_without_a_network() {
    let (programs, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let apt_get = programs.path().join("apt-get");
    fs::write(&apt_get, "#!/bin/sh\necho 'E: Failed to fetch' \"$*\" >&2\nexit 100\n").unwrap();
    fs::set_permissions(&apt_get, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = doctor(cache.path());
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    command.env("PATH", path);
    // With this option, apt fails where lists can't be downloaded.
    let texts = ["can't download the package lists of", "E: Failed to fetch", "APT::Update::Error-Mode=any"];
    assert_refused(command, 1, &texts);
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
