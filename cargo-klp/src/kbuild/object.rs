//! `cargo klp object`: the Rust half of a module. Called by `klp.mk` from within Kbuild.
//!
//! The crate is compiled to a static library, whose members are linked to one relocatable object
//! with the tables bounded and everything else dropped; what the macros emitted is counted before
//! and after.

use std::fmt::Write;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use cargo_metadata::Message;
use object::{Object, ObjectSymbol};

use super::flags::{self, TARGET};
use super::rename::rename;
use super::sysroot::sysroot;
use super::{Crate, hook};
use crate::error::{Error, Result, not_started, run_tool};
use crate::host::ui;
use crate::kernel::Kernel;
use crate::kernel::{btf, debug_info};
use crate::patch::manifest::{Manifest, Param, Table};
use crate::patch::resolve::resolve;
use crate::patch::{check, inspect};

/// Arguments of `cargo klp object`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The patch crate's Cargo.toml.
    #[arg(long)]
    manifest_path: PathBuf,
    /// The build directory of the target kernel.
    #[arg(long)]
    kdir: PathBuf,
    /// The folder of klp.lds and the glue.
    #[arg(long)]
    kbuild: PathBuf,
    /// What Kbuild has in KBUILD_RUSTFLAGS.
    #[arg(long, allow_hyphen_values = true)]
    kbuild_rustflags: String,
    /// The objtool command line, where it is to run on the object alone.
    #[arg(long)]
    objtool: Option<String>,
    /// The .ko file of a module that is not the kernel's own.
    #[arg(long = "module")]
    modules: Vec<PathBuf>,
    /// What Kbuild links in the end.
    #[arg(long)]
    ko: PathBuf,
    /// The header for the glue.
    #[arg(long)]
    header: PathBuf,
    /// The object.
    #[arg(long)]
    output: PathBuf,
}

/// How the header for the glue starts; one of another version, or for another kernel, is written anew.
fn header_start(kernel: &Kernel) -> String {
    format!("/* Written by cargo-klp {} for {}. */\n", env!("CARGO_PKG_VERSION"), kernel.release)
}

/// What the engine exports to the glue: the roots of what is kept of it.
const ENGINE_ENTRIES: [&str; 6] = [
    "klp_rt_init",
    "klp_rt_pre_patch",
    "klp_rt_post_patch",
    "klp_rt_pre_unpatch",
    "klp_rt_post_unpatch",
    "klp_rt_object_gone",
];

/// Makes the object and the header, if they are not up to date.
pub fn main(args: &Args) -> Result<ExitCode> {
    let kernel = Kernel::from_kdir(&args.kdir)?;
    let rustflags = flags::rustflags(&kernel)?;
    flags::check_kbuild(&kernel, &rustflags, &args.kbuild_rustflags)?;
    let krate = super::metadata(&args.manifest_path)?;
    let library = compile(&krate, &kernel, &args.modules, &rustflags, &Product::MODULE)?;
    let script = args.kbuild.join("klp.lds");
    let old = fs::read_to_string(&args.header).unwrap_or_default();
    // What is known of the kernel may have become more since.
    let given = debug_info::stamp(&kernel.release)?;
    let debug_info = given.exists().then_some(&given);
    let inputs = [&library, &script].into_iter().chain(&args.modules).chain(debug_info);
    if is_newer(&args.output, inputs) && old.starts_with(&header_start(&kernel)) {
        hook::write(&args.ko, &args.kbuild, &old)?;
        warnings(&args.output)?.iter().for_each(ui::warning);
        return Ok(ExitCode::SUCCESS);
    }
    let members = members(&library)?;
    let manifest = emitted(&members)?;
    if manifest.patch.is_none() {
        return Err(Error::Request {
            message: format!("the crate of {} has no `livepatch!`", args.manifest_path.display()),
            help: "write `livepatch! { license: \"GPL\", … }` at the crate's root".into(),
        });
    }
    let outcome = check::check(&manifest, &kernel, &args.modules)?.into_error(&kernel.release)?;
    outcome.unchecked.iter().for_each(ui::note);
    outcome.warnings.iter().for_each(ui::warning);
    let said: String = outcome.warnings.iter().map(|warning| format!("{warning}\n")).collect();
    write_if_changed(&warnings_file(&args.output), &said)?;
    let symbols = resolve(&manifest.symbols, &kernel, &args.modules)?;
    let linked = args.output.with_extension("o.tmp");
    link(&members, &script, &manifest, &linked)?;
    if !symbols.is_empty() {
        let data = fs::read(&linked).map_err(Error::io("read", &linked))?;
        fs::write(&linked, rename(&data, &symbols)?).map_err(Error::io("write", &linked))?;
    }
    let data = fs::read(&linked).map_err(Error::io("read", &linked))?;
    let file = object::File::parse(&*data).map_err(Error::elf("read the linked object"))?;
    check_tables(&linked, &file, &manifest)?;
    if let Some(objtool) = args.objtool.as_deref().filter(|objtool| !objtool.trim().is_empty()) {
        run_objtool(objtool, &linked)?;
    }
    let header = header_start(&kernel) + &header(&manifest, &file);
    write_if_changed(&args.header, &header)?;
    hook::write(&args.ko, &args.kbuild, &header)?;
    fs::rename(&linked, &args.output).map_err(Error::io("write", &args.output))?;
    Ok(ExitCode::SUCCESS)
}

/// Where the warnings of the check are kept, to be said again where nothing has changed.
fn warnings_file(object: &Path) -> PathBuf {
    object.with_extension("warnings")
}

/// What was warned of when an object was made.
pub(super) fn warnings(object: &Path) -> Result<Vec<String>> {
    let file = warnings_file(object);
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(Error::io("read", file))?,
    };
    Ok(text.lines().map(str::to_owned).collect())
}

/// What the macros emit in a crate, for a kernel: compiled as fast as can be, and not linked.
pub(crate) fn manifest_for(manifest_path: &Path, kernel: &Kernel, modules: &[PathBuf]) -> Result<Manifest> {
    let rustflags = flags::rustflags(kernel)?;
    let krate = super::metadata(manifest_path)?;
    let library = compile(&krate, kernel, modules, &rustflags, &Product::MANIFEST)?;
    emitted(&members(&library)?)
}

/// What the crate is compiled to.
struct Product {
    crate_type: &'static str,
    extension: &'static str,
    profile: &'static str,
    folder: &'static str,
    environment: &'static [(&'static str, &'static str)],
    config: &'static [&'static str],
}

impl Product {
    /// One object with everything, as small as the kernel's own: whatever the crate's profile says.
    const MODULE: Self = Self {
        crate_type: "--crate-type=staticlib",
        extension: "a",
        profile: "release",
        folder: "klp",
        environment: &[
            ("CARGO_PROFILE_RELEASE_LTO", "fat"),
            ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
            ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
            ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2"),
            ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
            ("CARGO_PROFILE_RELEASE_STRIP", "none"),
            ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
        ],
        // Most of it is the engine, which runs when patches come and go. What a patch's own code calls all the time
        // is generic or inlined there, and compiled like that.
        config: &["profile.release.package.klp-runtime.opt-level='s'"],
    };
    /// What has the manifest.
    const MANIFEST: Self = Self {
        crate_type: "--crate-type=rlib",
        extension: "rlib",
        profile: "dev",
        folder: "klp/check",
        environment: &[
            ("CARGO_PROFILE_DEV_LTO", "off"),
            ("CARGO_PROFILE_DEV_PANIC", "abort"),
            ("CARGO_PROFILE_DEV_OPT_LEVEL", "0"),
            ("CARGO_PROFILE_DEV_DEBUG", "false"),
            ("CARGO_PROFILE_DEV_INCREMENTAL", "true"),
        ],
        config: &[],
    };
}

/// The library of a crate for a module of this kernel, compiled anew if cargo finds that it must be.
pub(super) fn library(krate: &Crate, kdir: &Path, modules: &[PathBuf]) -> Result<PathBuf> {
    let kernel = Kernel::from_kdir(kdir)?;
    compile(krate, &kernel, modules, &flags::rustflags(&kernel)?, &Product::MODULE)
}

/// Compiles the crate and what it depends on to a library, which is as new as its sources.
fn compile(
    krate: &Crate,
    kernel: &Kernel,
    modules: &[PathBuf],
    rustflags: &[String],
    product: &Product,
) -> Result<PathBuf> {
    let mut encoded = vec!["--sysroot".to_owned(), sysroot(rustflags)?.to_string_lossy().into_owned()];
    encoded.extend_from_slice(rustflags);
    // The entries of a table have the order of the source, which is that of S2. By itself rustc sorts by symbol.
    encoded.push("-Zcodegen-source-order".into());
    let mut command = Command::new("cargo");
    command
        .args([
            "rustc",
            "--lib",
            "--quiet",
            "--profile",
            product.profile,
            product.crate_type,
            "--target",
            TARGET,
        ])
        .arg("--manifest-path")
        .arg(&krate.package.manifest_path)
        .arg("--target-dir")
        .arg(krate.target_directory.join(product.folder))
        .arg("--message-format=json-diagnostic-rendered-ansi")
        .args(product.config.iter().flat_map(|setting| ["--config", setting]))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", encoded.join("\x1f"))
        .envs(product.environment.iter().copied())
        // Kbuild's job server and variables are not for cargo.
        .env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .stdout(Stdio::piped());
    // For `kernel_types!`; empty where the kernel has none, which is better than another kernel's.
    command.env("KLP_BTF", btf::file(kernel)?.unwrap_or_default());
    command.env("KLP_TYPES", btf::command(kernel, modules)?);
    let mut child = command.spawn().map_err(|source| not_started(command.get_program(), source))?;
    let messages = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut library = None;
    for message in Message::parse_stream(messages) {
        match message.map_err(Error::io("read from", "cargo"))? {
            Message::CompilerMessage(message) if !is_noise(&message.message.message) => {
                let text = message.message.rendered.unwrap_or(message.message.message);
                anstream::eprint!("{text}");
            }
            Message::CompilerArtifact(artifact) if artifact.manifest_path == krate.package.manifest_path => {
                library =
                    artifact.filenames.into_iter().find(|name| name.extension() == Some(product.extension));
            }
            _ => {}
        }
    }
    let status = child.wait().map_err(Error::io("run", "cargo"))?;
    match library {
        Some(library) if status.success() => Ok(library.into()),
        _ => Err(Error::Compile { package: krate.package.name.to_string() }),
    }
}

/// rustc hands these features on to LLVM, which is what is wanted, and says at each crate that it
/// does not know them.
fn is_noise(message: &str) -> bool {
    message.contains("unstable feature specified for `-Ctarget-feature`: `harden-sls-")
}

/// The objects of the library, those without a symbol left out: fat LTO puts everything into one.
fn members(library: &Path) -> Result<Vec<Vec<u8>>> {
    let data = fs::read(library).map_err(Error::io("read", library))?;
    let elf = || Error::elf("read the static library of the patch");
    let archive = object::read::archive::ArchiveFile::parse(&*data).map_err(elf())?;
    let mut members = Vec::new();
    for member in archive.members() {
        let member = member.map_err(elf())?;
        if member.name().ends_with(b".rmeta") {
            continue;
        }
        let member = member.data(&*data).map_err(elf())?;
        let file = object::File::parse(member).map_err(elf())?;
        if file.symbols().any(|symbol| symbol.is_definition()) {
            members.push(member.to_vec());
        }
    }
    Ok(members)
}

/// What the macros emitted.
fn emitted(members: &[Vec<u8>]) -> Result<Manifest> {
    let mut manifest = Manifest::default();
    for member in members {
        let file = object::File::parse(&**member).map_err(Error::elf("read an object of the patch"))?;
        manifest.add_file(&file)?;
    }
    Ok(manifest)
}

/// Links the members to one relocatable object, with what nothing refers to dropped.
fn link(members: &[Vec<u8>], script: &Path, manifest: &Manifest, output: &Path) -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let mut command = Command::new("ld");
    command.args(["-r", "--gc-sections", "-T"]).arg(script).arg("-o").arg(output);
    // ld wants a root; the tables are roots too.
    command.args(["-u", "__start_klp_patch"]);
    if manifest.needs_engine() {
        command.args(ENGINE_ENTRIES.iter().flat_map(|entry| ["-u", entry]));
    }
    if !manifest.hooks.is_empty() {
        command.args(["-u", "klp_rt_choose"]);
    }
    for param in &manifest.params {
        command.arg("-u").arg(format!("klp_param_{}", param.name));
    }
    for (index, member) in members.iter().enumerate() {
        let path = folder.path().join(format!("{index}.o"));
        fs::write(&path, member).map_err(Error::io("write", &path))?;
        command.arg(path);
    }
    run_tool(&mut command)?;
    // With debug information go the names of source files, of which objtool takes two for a sign
    // that it was given a whole module.
    run_tool(Command::new("objcopy").arg("--strip-debug").arg(output))?;
    Ok(())
}

/// Holds the tables of a linked object or module against what the macros emitted.
pub fn check_tables(path: &Path, file: &object::File<'_>, manifest: &Manifest) -> Result<()> {
    let address = |name: String| file.symbol_by_name(&name).map_or(0, |symbol| symbol.address());
    for Table { what, name, emitted, entry_size } in manifest.tables() {
        let bytes = address(format!("__stop_{name}")).wrapping_sub(address(format!("__start_{name}")));
        if bytes != entry_size * emitted {
            return Err(Error::LostEntries { path: path.into(), what, emitted, found: bytes / entry_size });
        }
    }
    Ok(())
}

/// Runs objtool, for kernels that do not run it on the module as a whole; a warning is an error.
fn run_objtool(command_line: &str, object: &Path) -> Result<()> {
    let mut words = command_line.split_whitespace();
    let program = words.next().expect("the caller looked that it is not empty");
    let output = run_tool(Command::new(program).args(words).arg(object))?;
    let said = [output.stdout, output.stderr].concat();
    if said.is_empty() {
        return Ok(());
    }
    Err(Error::Warnings { tool: "objtool", lines: String::from_utf8_lossy(&said).into_owned() })
}

/// What the glue must know of the patch and of what its Rust half calls.
fn header(manifest: &Manifest, linked: &object::File<'_>) -> String {
    let mut header = String::new();
    for Table { name, emitted, entry_size, .. } in manifest.tables() {
        let name = name.trim_start_matches("klp_").to_uppercase();
        writeln!(header, "#define KLP_NR_{name} {emitted}").expect("a string takes everything");
        if ["STATES", "SHADOWS"].contains(&&*name) {
            let name = name.trim_end_matches('S');
            writeln!(header, "#define KLP_{name}_SIZE {entry_size}").expect("a string takes everything");
        }
    }
    if manifest.needs_engine() {
        header.push_str("#define KLP_ENGINE\n");
    }
    if !manifest.params.is_empty() {
        let params: Vec<String> = manifest.params.iter().map(declaration).collect();
        writeln!(header, "#define KLP_PARAMS \\\n{}", params.join(" \\\n"))
            .expect("a string takes everything");
    }
    // Of the same name, they become one when the module is linked.
    let mut livepatch = inspect::symbols::read(linked).livepatch;
    livepatch.dedup();
    let livepatch = livepatch.len();
    if livepatch > 0 {
        header.push_str(&format!("#define {} {livepatch}\n", hook::NR_SYMBOLS));
    }
    for symbol in linked.symbols().filter(|symbol| symbol.is_undefined()) {
        if let Ok(name) = symbol.name()
            && name.starts_with("klp_glue_")
        {
            header.push_str(&format!("#define KLP_USES_{name}\n"));
        }
    }
    header
}

/// What declares a module parameter to the glue.
fn declaration(param: &Param) -> String {
    let Param { name, kind, len, permissions, description } = param;
    let mut text = match len {
        0 => format!("\tKLP_PARAM({name}, {kind}, 0{permissions:o})"),
        len => format!("\tKLP_PARAM_ARRAY({name}, {kind}, {len}, 0{permissions:o})"),
    };
    if !description.is_empty() {
        let quoted = description.replace('\\', "\\\\").replace('"', "\\\"");
        text.push_str(&format!(" KLP_PARAM_DESC({name}, \"{quoted}\")"));
    }
    text
}

fn is_newer<'a>(output: &Path, mut inputs: impl Iterator<Item = &'a PathBuf>) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let Some(output) = modified(output) else { return false };
    inputs.all(|input| modified(input).is_some_and(|input| input <= output))
}

fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(Error::io("write", path))
}
