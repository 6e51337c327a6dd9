//! What tests of the command share: the command, and a kernel to build for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cargo_klp::kernel::{Kernel, KernelParts, KernelQuery, Target};

/// The command, without arguments.
#[allow(dead_code, reason = "not all tests do")]
pub(crate) fn klp() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cargo-klp"))
}

/// The target directory of all patches that tests build: what they depend on is compiled once.
#[allow(dead_code, reason = "not all tests do")]
pub(crate) fn target_directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("patches")
}

/// Runs a program that must succeed.
#[allow(dead_code, reason = "not all tests do")]
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    output
}

/// A kernel with headers and an image, to build for.
#[allow(dead_code, reason = "not all tests do")]
pub(crate) fn target(series: &str) -> Target {
    kernel(series).into()
}

/// A kernel with headers and an image.
#[allow(dead_code, reason = "not all tests do")]
pub(crate) fn kernel(series: &str) -> Kernel {
    let args = KernelQuery::Release(series.into());
    args.find(KernelParts::Image).unwrap_or_else(|error| panic!("{error}; {:?}", error.help()))
}

#[allow(dead_code, reason = "not all tests do")]
/// Puts items in an order by chance, by a generator of numbers that needs no library.
pub(crate) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for index in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(index, (state >> 33) as usize % (index + 1));
    }
}

/// A patch crate with some items.
///
/// Its name is that of the test: tests that run at once share a target directory.
#[allow(dead_code, reason = "not all tests do")]
pub(crate) fn write_crate(dir: &Path, name: &str, items: &str) {
    let runtime = concat!(env!("CARGO_MANIFEST_DIR"), "/../klp-runtime");
    let toml = format!(
        "[package]\nname = {name:?}\nedition = \"2024\"\n[dependencies]\nklp-runtime = {{ path = {runtime:?} }}\n[workspace]\n"
    );
    let source = format!(
        "#![no_std]\n#![deny(warnings)]\nuse klp_runtime::prelude::*;\n\
         livepatch! {{ license: \"GPL\", authors: [\"A. Author\"], description: \"Checked\" }}\n{items}"
    );
    fs::create_dir_all(dir.join("src")).unwrap();
    for (file, text) in [("Cargo.toml", &toml), ("src/lib.rs", &source)] {
        fs::write(dir.join(file), text).unwrap();
    }
}
