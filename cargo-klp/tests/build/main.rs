//! `cargo klp build`: what it refuses, and how it says it.
//!
//! Needs kernels 6.12 and 6.1: `cargo klp doctor --fix --kernel 6.12` gets them.

#[path = "../support/mod.rs"]
mod support;

mod c_files;
mod conditions;
mod distributions;
mod headers;
mod kernels;
mod machine;
mod modules;
mod namespaces;
mod package;
mod record;
mod several;
mod shared;
mod signing;
mod source;
mod symbols;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{kernel, target_directory};

/// The test's name without its module: a package can have it.
fn name_of_this_test() -> String {
    let thread = std::thread::current();
    thread.name().unwrap().rsplit("::").next().unwrap().to_owned()
}

/// Runs `cargo klp build` in a directory.
fn build(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
    command
        .arg("build")
        .args(arguments)
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", target_directory())
        .env_remove("MAKEFLAGS");
    command
}

/// The exit code and the messages.
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

/// The runtime as a dependency.
fn runtime() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../klp-runtime");
    format!("klp-runtime = {{ path = {path:?} }}\n")
}

/// A crate with this source. Its name is that of the test: they share a target directory.
struct Probe(tempfile::TempDir);

impl Probe {
    fn new(source: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (name, runtime) = (name_of_this_test(), runtime());
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{runtime}"
        );
        fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
        fs::create_dir(directory.path().join("src")).unwrap();
        fs::write(directory.path().join("src/lib.rs"), source).unwrap();
        Self(directory)
    }

    fn build(&self) -> Command {
        build(self.0.path(), &["--kernel", "6.12"])
    }

    /// A library that the patch is made of, too; its source file.
    fn add_library(&self, source: &str) -> PathBuf {
        let (name, runtime) = (format!("{}_library", name_of_this_test()), runtime());
        let directory = self.0.path().join("library");
        fs::create_dir_all(directory.join("src")).unwrap();
        let package = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n[dependencies]\n{runtime}");
        fs::write(directory.join("Cargo.toml"), package).unwrap();
        let manifest = self.0.path().join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(manifest, text + &format!("{name} = {{ path = \"library\" }}\n")).unwrap();
        fs::write(self.0.path().join("src/lib.rs"), format!("{LIVEPATCH}use {name} as _;\n")).unwrap();
        let file = directory.join("src/lib.rs");
        fs::write(&file, source).unwrap();
        file
    }

    /// A Kbuild as `cargo klp new` writes it.
    fn write_kbuild(&self) {
        let name = name_of_this_test();
        let kbuild = format!(
            "obj-m := {name}.o\ninclude $(or $(shell $(CARGO_KLP) kbuild $(src)),$(error no cargo klp))\n"
        );
        fs::write(self.0.path().join("Kbuild"), kbuild).unwrap();
    }

    /// Plain make, for the same kernel.
    fn make(&self, arguments: &[&str]) -> Command {
        let mut make = Command::new("make");
        make.arg("-C")
            .arg(kernel("6.12").kdir)
            .arg(format!("M={}", self.0.path().display()))
            .arg(format!("CARGO_KLP={} klp", env!("CARGO_BIN_EXE_cargo-klp")))
            .args(arguments)
            .env("CARGO_TARGET_DIR", target_directory())
            .env_remove("MAKEFLAGS");
        make
    }
}

/// The start of a patch.
const LIVEPATCH: &str = "#![no_std]
use klp_runtime::prelude::*;
livepatch! { license: \"GPL\", authors: [\"a\"], description: \"d\" }
";

/// The module of a test's package, wherever it is.
fn modules_of_this_test() -> Vec<PathBuf> {
    let name = name_of_this_test();
    let target = target_directory().join("klp");
    let releases = fs::read_dir(target).unwrap().map(|release| release.unwrap().path());
    releases.map(|release| release.join(&name).join(format!("{name}.ko"))).filter(|ko| ko.exists()).collect()
}

/// One of the kernel's own modules, unpacked.
fn dummy() -> Vec<u8> {
    let kernel = kernel("6.12");
    let packed = kernel.modules.unwrap().join("kernel/drivers/net/dummy.ko.xz");
    cargo_klp::kernel::image::decompress(&fs::read(packed).unwrap()).unwrap()
}
