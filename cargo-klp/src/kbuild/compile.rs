//! Has cargo compile the patch crate for a kernel, and reads what the macros emitted into it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::ScopedJoinHandle;

use cargo_metadata::Message;
use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::diagnostic::DiagnosticLevel;
use console::strip_ansi_codes;
use klp_format::env;
use object::{Object, ObjectSymbol};

use super::cargo_flags::CargoFlags;
use super::conditions::{self, answers, conditions};
use super::flags;
use super::headers;
use super::kernel_hint::KernelHint;
use super::std_hint::StdHint;
use super::sysroot::sysroot;
use super::undefined;
use super::workspace::{Crate, crate_of};
use crate::error::{Error, Result};
use crate::host::digest::Digest;
use crate::host::report::Reporter;
use crate::host::tools::not_started;
use crate::kernel::symbols::Symbols;
use crate::kernel::{Target, btf};
use crate::patch::manifest::Manifest;

/// What the macros emit in a crate for a kernel, and what is wrong with the functions that it calls by `kernel_types!`. The
/// crate is compiled as fast as possible and not linked.
pub(crate) fn manifest_for(
    manifest_path: &Path,
    flags: &CargoFlags,
    target: &Target,
    reporter: &dyn Reporter,
) -> Result<(Manifest, Vec<String>)> {
    let rustflags = flags::rustflags(&target.kernel)?;
    let krate = crate_of(manifest_path, flags.clone())?;
    let library = compile(&krate, target, &rustflags, &Product::MANIFEST, reporter)?;
    let members = members(&library)?;
    let manifest = emitted(&members)?;
    let faults = undefined::of_bindings(&members, &manifest, &Symbols::of(target, reporter)?)?;
    Ok((manifest, faults))
}

/// A kind of library that the crate can be compiled to.
///
/// The macros are compiled once for all kinds: what cargo compiles for this machine must not depend on the kind.
pub(super) struct Product {
    crate_type: &'static str,
    extension: &'static str,
    /// Arguments of rustc for the crate alone.
    arguments: &'static [&'static str],
    opt_level: &'static str,
    /// The debug information.
    debug: &'static str,
}

impl Product {
    /// One object with everything, as small as the kernel's own objects, whatever the crate's profile says.
    pub(super) const MODULE: Self = Self {
        crate_type: "--crate-type=staticlib",
        extension: "a",
        arguments: &[],
        opt_level: "2",
        debug: "false",
    };
    /// The same, with line numbers of the source.
    pub(super) const LINES: Self = Self { debug: "line-tables-only", ..Self::MODULE };
    /// A library that has the manifest.
    const MANIFEST: Self = Self {
        crate_type: "--crate-type=rlib",
        extension: "rlib",
        // Machine code, although the profile asks for LTO.
        arguments: &["-Clinker-plugin-lto=no"],
        opt_level: "0",
        debug: "false",
    };
}

/// The settings of the profile that are the same for all kinds of libraries.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "none"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
    ("CARGO_PROFILE_RELEASE_TRIM_PATHS", "macro"),
];

/// Most of the runtime is the engine, which runs only when patches come and go. The parts that a patch's own code calls
/// all the time are generic or inlined, so they are compiled with the patch's options.
/// The module keeps a table for the kernel's unwinder. Where functions have a frame pointer it needs no entry for each
/// register that they save, which makes the engine a tenth smaller.
const RUNTIME: [&str; 2] = [
    "profile.release.package.klp-runtime.opt-level='z'",
    "profile.release.package.klp-runtime.rustflags=['-Cforce-frame-pointers=yes']",
];

/// The digest of a crate's library for a module of this target. cargo compiles the library if it is out of date.
pub(super) fn library_digest(krate: &Crate, target: &Target, reporter: &dyn Reporter) -> Result<Digest> {
    compile(krate, target, &flags::rustflags(&target.kernel)?, &Product::MODULE, reporter).map(Digest::of)
}

/// Compiles the crate and its dependencies to a library, and returns the library's contents.
///
/// cargo puts the libraries for all sets of flags and features in the same place, so no other process may run cargo
/// there before the library has been read.
pub(super) fn compile(
    krate: &Crate,
    target: &Target,
    rustflags: &[String],
    product: &Product,
    reporter: &dyn Reporter,
) -> Result<Vec<u8>> {
    let (directory, _lock) = krate.directory.lock(reporter)?;
    headers::forget_outdated(&target.kernel)?;
    let rust_target = target.kernel.arch().rust.target;
    let sysroot = sysroot(rust_target, rustflags, reporter)?;
    let mut encoded = vec!["--sysroot".to_owned(), sysroot.to_string_lossy().into_owned()];
    encoded.extend_from_slice(rustflags);
    // S2 asks for the order of the source in the tables. By default rustc sorts by symbol.
    encoded.push("-Zcodegen-source-order".into());
    encoded.push("-Zemit-stack-sizes".into());
    // For the attribute that leaves room for ftrace.
    encoded.push("-Zcrate-attr=feature(patchable_function_entry)".into());
    let mut command = Command::new("cargo");
    command
        .args([
            "rustc",
            "--lib",
            "--quiet",
            // Contents decide what is up to date, not times.
            "-Zchecksum-freshness",
            "-Zprofile-rustflags",
            // Keeps paths of this machine out of the library.
            "-Ztrim-paths",
            "--release",
            product.crate_type,
            "--target",
            rust_target,
        ])
        .arg("--manifest-path")
        .arg(&krate.package.manifest_path)
        .arg("--target-dir")
        .arg(directory)
        .args(["--message-format=json-diagnostic-rendered-ansi", "--color=always"])
        .args(&krate.flags.0)
        .args(RUNTIME.iter().flat_map(|setting| ["--config", setting]))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", encoded.join("\x1f"))
        .envs(PROFILE)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", product.opt_level)
        .env("CARGO_PROFILE_RELEASE_DEBUG", product.debug)
        .env(env::PATCH, krate.package.name.as_str())
        .env(env::FTRACE_ROOM, flags::ftrace_room(&target.kernel))
        .env(env::ARCH, target.kernel.arch().name)
        // cargo must not see Kbuild's job server and variables.
        .env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // For `kernel_types!`. Empty if the kernel has no BTF: an inherited value would be another kernel's.
    command.env(env::BTF, btf::file(&target.kernel)?.unwrap_or_default());
    command.env(env::TYPES, btf::command(target)?);
    let conditions = conditions(&krate.package, &krate.libraries)?;
    let answers = answers(&conditions, target, reporter)?;
    command.env(env::CONDITIONS, answers.for_macros()).arg("--").args(answers.arguments());
    command
        .args(product.arguments)
        .args(krate.directory.distinction(krate.package.manifest_path.as_std_path()));
    let mut child = command.spawn().map_err(|source| not_started(command.get_program(), source))?;
    let messages = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let own = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let (library, own) = std::thread::scope(|scope| {
        let own: ScopedJoinHandle<'_, Vec<String>> =
            scope.spawn(|| own.lines().map_while(Result::ok).map(|line| pass_on(line, reporter)).collect());
        let library = read_messages(messages, krate, target, product, reporter);
        (library, own.join().expect("reading does not panic"))
    });
    let status = child.wait().map_err(Error::io("run", "cargo"))?;
    let (library, unanswered, errors) = library?;
    if !unanswered.is_empty() {
        return Err(Error::Conditions { faults: unanswered });
    }
    match library {
        Some(library) if status.success() => {
            fs::read(&library).map_err(Error::io("read", library.into_std_path_buf()))
        }
        _ => {
            let errors = if errors.is_empty() { vec![own.join("\n")] } else { errors };
            Err(Error::Compile { package: krate.package.name.to_string(), errors })
        }
    }
}

/// Shows the messages of the compiler, and returns the path of the library, the conditions on the kernel that it found
/// where klp does not (what macros put together), and its errors.
fn read_messages(
    messages: impl BufRead,
    krate: &Crate,
    target: &Target,
    product: &Product,
    reporter: &dyn Reporter,
) -> Result<(Option<Utf8PathBuf>, Vec<String>, Vec<String>)> {
    let (mut library, mut hint, mut of_kernel) = (None, StdHint::default(), KernelHint::default());
    let (mut unanswered, mut errors) = (Vec::new(), Vec::new());
    for line in messages.lines() {
        let line = line.map_err(Error::io("read from", "cargo"))?;
        // A line that is none of cargo's is a program's own output.
        let Ok(message) = serde_json::from_str(&line) else { continue };
        match message {
            Message::CompilerMessage(message) if !is_noise(&message.message.message) => {
                hint.look_at(&message.message.message);
                of_kernel.look_at(&message.message.message);
                unanswered.extend(conditions::unanswered(&message.message));
                let text = message.message.rendered.unwrap_or(message.message.message);
                if matches!(message.message.level, DiagnosticLevel::Error | DiagnosticLevel::Ice) {
                    errors.push(strip_ansi_codes(text.trim_end()).into_owned());
                }
                reporter.compiler_message(&line, &text);
            }
            Message::CompilerArtifact(artifact) if artifact.manifest_path == krate.package.manifest_path => {
                library =
                    artifact.filenames.into_iter().find(|name| name.extension() == Some(product.extension));
            }
            _ => {}
        }
    }
    hint.note().into_iter().chain(of_kernel.notes(&target.kernel)).for_each(|note| reporter.note(&note));
    Ok((library, unanswered, errors))
}

/// Shows a line of cargo's own, without the number of warnings: it counts those that are noise. Returns it without
/// colors.
fn pass_on(line: String, reporter: &dyn Reporter) -> String {
    let shown = match line.split_once("; ") {
        Some((shown, warnings)) if warnings.ends_with(" emitted") => shown,
        _ => &line,
    };
    reporter.passed_on(&format!("{shown}\n"));
    strip_ansi_codes(shown).into_owned()
}

/// rustc passes these features on to LLVM, as it should, but warns in each crate that it does not know
/// them.
fn is_noise(message: &str) -> bool {
    message.contains("unstable feature specified for `-Ctarget-feature`: `harden-sls-")
}

/// The objects of the library that define a symbol: fat LTO puts everything into one.
pub(super) fn members(library: &[u8]) -> Result<Vec<Vec<u8>>> {
    let elf = || Error::elf("read the static library of the patch");
    let archive = object::read::archive::ArchiveFile::parse(library).map_err(elf())?;
    let mut members = Vec::new();
    for member in archive.members() {
        let member = member.map_err(elf())?;
        if member.name().ends_with(b".rmeta") {
            continue;
        }
        let member = member.data(library).map_err(elf())?;
        let file = object::File::parse(member).map_err(elf())?;
        if file.symbols().any(|symbol| symbol.is_definition()) {
            members.push(member.to_vec());
        }
    }
    Ok(members)
}

/// What the macros emitted.
pub(super) fn emitted(members: &[Vec<u8>]) -> Result<Manifest> {
    let mut manifest = Manifest::default();
    for member in members {
        let file = object::File::parse(&**member).map_err(Error::elf("read an object of the patch"))?;
        manifest.add_file(&file)?;
    }
    Ok(manifest)
}
