//! The program that is the half in the guest: this one, or the same compiled for the guest's architecture.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_klp::commands::ui;
use cargo_klp::error::{Error, Result};
use cargo_klp::host::debian::rust_src;
use cargo_klp::kernel::Kernel;
use serde_json::Value;

/// The program for a kernel.
pub(crate) fn program(kernel: &Kernel) -> Result<OsString> {
    let arch = kernel.arch();
    if !arch.is_foreign() {
        return std::env::current_exe()
            .map(PathBuf::into_os_string)
            .map_err(Error::io("find", "this program"));
    }
    ui::status("Compiling", format_args!("these tests for {}", arch.name));
    compile(arch.machine)
}

/// Compiles these tests and the commands that they call, without any library that the guest would have to have. Rust's
/// own is compiled, too: rustup has it for more machines, where it can be reached.
fn compile(architecture: &str) -> Result<OsString> {
    let target = format!("{architecture}-unknown-linux-gnu");
    let setting = |name| format!("CARGO_TARGET_{}_{name}", target.to_uppercase().replace('-', "_"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["test", "--no-run", "--message-format", "json-render-diagnostics"])
        .args(["--package", env!("CARGO_PKG_NAME"), "--test", "kernel", "--target", &target])
        .args(["-Z", "build-std=std,panic_unwind"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // `-Z`, and what build scripts find out with it, stays out of the directory of all other builds.
        .env("RUSTC_BOOTSTRAP", "1")
        .arg("--target-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guest"))
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", rust_src()?)
        .env(setting("LINKER"), format!("{architecture}-linux-gnu-gcc"))
        .env(setting("RUSTFLAGS"), "-Ctarget-feature=+crt-static")
        .stderr(Stdio::inherit());
    let output = cargo.output().map_err(Error::io("run", "cargo"))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let messages = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = messages
        .filter(|message| message["target"]["name"] == "kernel")
        .filter_map(|message| Some(message["executable"].as_str()?.to_owned()));
    match programs.next() {
        Some(program) if output.status.success() => Ok(program.into()),
        _ => Err(Error::Request {
            message: format!("the tests can't be compiled for {target}"),
            help: "see what cargo printed; `cargo xtask soak --arm64-only` installs what it takes".into(),
        }),
    }
}
