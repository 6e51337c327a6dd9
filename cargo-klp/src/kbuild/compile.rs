//! Has cargo compile the patch crate for a kernel, and reads what the macros emitted into it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::ScopedJoinHandle;

use cargo_metadata::Message;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::diagnostic::DiagnosticLevel;
use console::strip_ansi_codes;
use klp_format::env;
use object::{Object, ObjectSymbol};

use super::base::Base;
use super::cargo_flags::CargoFlags;
use super::conditions::{self, answers, conditions};
use super::flags;
use super::headers;
use super::kernel_hint::KernelHint;
use super::std_hint::StdHint;
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
    let members = library.members()?;
    let manifest = emitted(&members)?;
    let faults = undefined::of_bindings(&members, &manifest, &Symbols::of(target, reporter)?)?;
    Ok((manifest, faults))
}

/// A kind of library that the crate can be compiled to.
///
/// The macros are compiled once for all kinds: what cargo compiles for this machine must not depend on the kind.
pub(super) struct Product {
    /// As rustc calls it, and what the name of its file ends in.
    kind: (&'static str, &'static str),
    /// Whether it has all that a module is made of.
    is_whole: bool,
    /// Arguments of rustc for the crate alone.
    arguments: &'static [&'static str],
    opt_level: &'static str,
    /// The debug information.
    debug: &'static str,
}

impl Product {
    /// One object with everything, as small as the kernel's own objects, whatever the crate's profile says.
    pub(super) const MODULE: Self = Self {
        kind: ("--crate-type=staticlib", "a"),
        is_whole: true,
        arguments: &[],
        opt_level: "2",
        debug: "false",
    };
    /// The same, with line numbers of the source.
    pub(super) const LINES: Self = Self { debug: "line-tables-only", ..Self::MODULE };
    /// A library that has the manifest.
    const MANIFEST: Self = Self {
        kind: ("--crate-type=rlib", "rlib"),
        is_whole: false,
        // Machine code, although the profile asks for LTO.
        arguments: &["-Clinker-plugin-lto=no"],
        opt_level: "0",
        debug: "false",
    };
}

/// What was compiled: archives of objects. Where a module is linked with klp's own `core`, fat LTO puts everything into
/// one.
pub(super) struct Library(Vec<Vec<u8>>);

impl Library {
    /// The digest of its contents.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(self.0.concat())
    }

    /// The objects that define a symbol.
    pub(super) fn members(&self) -> Result<Vec<Vec<u8>>> {
        self.0.iter().map(|archive| members(archive)).collect::<Result<Vec<_>>>().map(|all| all.concat())
    }
}

/// The digest of a crate's library for a module of this target. cargo compiles the library if it is out of date.
pub(super) fn library_digest(krate: &Crate, target: &Target, reporter: &dyn Reporter) -> Result<Digest> {
    compile(krate, target, &flags::rustflags(&target.kernel)?, &Product::MODULE, reporter)
        .map(|library| library.digest())
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
) -> Result<Library> {
    let (directory, _lock) = krate.directory.lock(reporter)?;
    headers::forget_outdated(&target.kernel)?;
    let base = Base::of(&krate.package, &target.kernel)?;
    let (crate_type, extension) = base.kind(product.kind);
    let mut command = Command::new("cargo");
    command
        .args([
            "rustc",
            "--lib",
            "--quiet",
            // Contents decide what is up to date, not times.
            "-Zchecksum-freshness",
            "-Zprofile-rustflags",
            "--release",
            crate_type,
        ])
        .arg("--manifest-path")
        .arg(&krate.package.manifest_path)
        .arg("--target-dir")
        .arg(directory)
        .args(["--message-format=json-diagnostic-rendered-ansi", "--color=always"])
        .args(&krate.flags.0)
        .env("RUSTC_BOOTSTRAP", "1")
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
    base.configure(&mut command, &krate.package, &target.kernel, rustflags, reporter)?;
    // For `kernel_types!`. Empty if the kernel has no BTF: an inherited value would be another kernel's.
    command.env(env::BTF, btf::file(&target.kernel)?.unwrap_or_default());
    command.env(env::TYPES, btf::command(target)?);
    let conditions = conditions(&krate.package, &krate.libraries)?;
    let answers = answers(&conditions, target, reporter)?;
    command.env(env::CONDITIONS, answers.for_macros()).arg("--").args(answers.arguments());
    command
        .args(base.arguments(product.arguments))
        .args(krate.directory.distinction(krate.package.manifest_path.as_std_path()));
    let mut child = command.spawn().map_err(|source| not_started(command.get_program(), source))?;
    let messages = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let own = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let (library, own) = std::thread::scope(|scope| {
        let own: ScopedJoinHandle<'_, Vec<String>> =
            scope.spawn(|| own.lines().map_while(Result::ok).map(|line| pass_on(line, reporter)).collect());
        let is_part = |library: &Utf8Path| product.is_whole && base.is_part(library.as_std_path(), directory);
        let library = read_messages(messages, krate, target, extension, is_part, reporter);
        (library, own.join().expect("reading does not panic"))
    });
    let status = child.wait().map_err(Error::io("run", "cargo"))?;
    let (libraries, unanswered, errors) = library?;
    if !unanswered.is_empty() {
        return Err(Error::Conditions { faults: unanswered });
    }
    if !status.success() || libraries.is_empty() {
        let errors = if errors.is_empty() { vec![own.join("\n")] } else { errors };
        return Err(Error::Compile { package: krate.package.name.to_string(), errors });
    }
    let read =
        |library: Utf8PathBuf| fs::read(&library).map_err(Error::io("read", library.into_std_path_buf()));
    libraries.into_iter().map(read).collect::<Result<_>>().map(Library)
}

/// Shows the messages of the compiler, and returns the paths of the libraries, the conditions on the kernel that it found
/// where klp does not (what macros put together), and its errors.
fn read_messages(
    messages: impl BufRead,
    krate: &Crate,
    target: &Target,
    extension: &str,
    is_part: impl Fn(&Utf8Path) -> bool,
    reporter: &dyn Reporter,
) -> Result<(Vec<Utf8PathBuf>, Vec<String>, Vec<String>)> {
    let (mut libraries, mut hint, mut of_kernel) = (Vec::new(), StdHint::default(), KernelHint::default());
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
            Message::CompilerArtifact(artifact) => {
                let is_own = artifact.manifest_path == krate.package.manifest_path;
                let files = artifact.filenames.into_iter();
                libraries.extend(
                    files.filter(|name| name.extension() == Some(extension) && (is_own || is_part(name))),
                );
            }
            _ => {}
        }
    }
    hint.note().into_iter().chain(of_kernel.notes(&target.kernel)).for_each(|note| reporter.note(&note));
    Ok((libraries, unanswered, errors))
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

/// The objects of an archive that define a symbol.
fn members(library: &[u8]) -> Result<Vec<Vec<u8>>> {
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
