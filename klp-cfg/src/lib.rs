//! Answers a crate's conditions on the kernel from its build script.
//!
//! `cargo klp` answers `#[cfg(kernel_has = …)]`, `#[cfg(kernel_since = …)]` and `#[cfg(CONFIG_…)]` of a patch crate by
//! itself. Where it is not `cargo klp` that compiles the crate, none of them would hold: in an editor, in `cargo test` and
//! `cargo clippy`. In a library that a patch is compiled with, none would hold at all, so that `cargo klp` refuses it. A
//! build script has them answered there, too:
//!
//! ```toml
//! [build-dependencies]
//! klp-cfg = "0.1"
//! ```
//!
//! ```ignore
//! // build.rs
//! fn main() {
//!     klp_cfg::answer_conditions();
//! }
//! ```
//!
//! The kernel is the one that `cargo klp` compiles for; else the one that `KLP_KERNEL` names (`KLP_KERNEL=6.1 cargo test`), or
//! the one that `cargo klp` takes by default. `kernel_types!` of the crate takes the types of the same kernel.
//!
//! `cargo-klp` must be installed (`cargo install`): without it, a warning says that no condition holds.

use std::env;
use std::path::PathBuf;
use std::process::{self, Command};

use klp_format::condition::{HAS, SINCE};
use klp_format::env as names;

/// The variable by which a user chooses a kernel.
const KERNEL: &str = "KLP_KERNEL";

/// Has `cargo klp` answer the conditions of the crate whose build script calls this, and passes the answers to rustc. Ends
/// the build script where `cargo klp` compiles the crate for a kernel and can't answer.
pub fn answer_conditions() {
    for name in [names::PATCH, names::TYPES, names::CARGO_FLAGS, names::CACHE, KERNEL] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    if env::var(names::PATCH).is_ok_and(|patch| Ok(patch) == env::var("CARGO_PKG_NAME")) {
        // `cargo klp` passes the answers for a patch to rustc itself.
        return;
    }
    let asked = env::var(names::TYPES).ok();
    let why = match ask(asked.as_deref()) {
        Ok(directives) => return print!("{directives}"),
        Err(why) => why,
    };
    if asked.is_some() {
        why.lines().for_each(|line| println!("cargo::error={line}"));
        process::exit(1);
    }
    for name in [HAS, SINCE] {
        println!("cargo::rustc-check-cfg=cfg({name}, values(any()))");
    }
    println!("cargo::warning=no condition on the kernel holds here");
    why.lines().for_each(|line| println!("cargo::warning={line}"));
}

/// What `cargo klp` says to cargo, or why it says nothing.
fn ask(command: Option<&str>) -> Result<String, String> {
    let mut words: Vec<String> = match command {
        Some(command) => command.split(names::COMMAND_SEPARATOR).map(str::to_owned).collect(),
        None => ["cargo-klp", "klp", "types"].map(str::to_owned).into(),
    };
    if let (None, Ok(kernel)) = (command, env::var(KERNEL)) {
        words.extend(["--kernel".to_owned(), kernel]);
    }
    let directory = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg("--conditions").arg(directory);
    let output = command.output().map_err(|error| {
        format!(
            "`{}` can't be run: {error}; install it: `cargo install --path cargo-klp` in a clone of klp",
            words[0]
        )
    })?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr).trim().to_owned()) }
}
