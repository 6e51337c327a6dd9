//! The Rust half of a module. `klp.mk` calls `cargo klp object` for it, from within Kbuild.
//!
//! The crate is compiled to a static library. Its members are linked to one relocatable object, in which the
//! tables have bounds and nothing unused is left. The entries that the macros emitted are counted before and
//! after.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use klp_format::Table;
use object::Object;

use super::base::Base;
use super::cargo_flags::CargoFlags;
use super::compile::{Product, compile, emitted};
use super::places::Places;
use super::record::{Change, MadeOf, Place};
use super::workspace::crate_of;
use super::{
    c_header, flags, frames, headers, hook, linked, make, names, objtool, relocations, turn, write_if_changed,
};
use crate::error::{Error, Result};
use crate::host::digest::Digest;
use crate::host::report::Reporter;
use crate::host::tools::run_tool;
use crate::kernel::{Arch, Target};
use crate::patch::check;
use crate::patch::manifest::Manifest;
use crate::patch::resolve::{Language, resolve};
use crate::patch::tables::{self, check_tables};

/// Inputs and outputs of the Rust half of a module.
#[derive(Clone, Debug)]
pub struct Request {
    /// The patch crate's Cargo.toml.
    pub manifest_path: PathBuf,
    /// The kernel and modules that it is built for.
    pub target: Target,
    /// The directory of klp.lds and the glue.
    pub kbuild: PathBuf,
    /// Kbuild's `KBUILD_RUSTFLAGS`.
    pub kbuild_rustflags: String,
    /// The objtool command line, where it must run on the object alone.
    pub objtool: Option<String>,
    /// The module that Kbuild links in the end.
    pub ko: PathBuf,
    /// The header for the C files of the patch.
    pub header: PathBuf,
    /// The object to write.
    pub output: PathBuf,
}

/// The symbols that the engine exports to the glue: whatever they need is kept.
const ENGINE_ENTRIES: [&str; 6] = [
    "klp_rt_init",
    "klp_rt_pre_patch",
    "klp_rt_post_patch",
    "klp_rt_pre_unpatch",
    "klp_rt_post_unpatch",
    "klp_rt_object_gone",
];

/// Makes the object and the header, unless the module is up to date. A module that is out of date is removed.
pub fn make(request: &Request, reporter: &dyn Reporter) -> Result<()> {
    let Request { target, kbuild, output, .. } = request;
    let place = Place::of(&request.ko);
    turn::wait(&place.turn(), &target.kernel.kdir, reporter)?;
    let started = place.start()?;
    let rustflags = flags::rustflags(&target.kernel)?;
    let krate = crate_of(&request.manifest_path, CargoFlags::of_environment())?;
    let base = Base::of(&krate.package, &target.kernel)?;
    base.check_kbuild(&target.kernel, &rustflags, &request.kbuild_rustflags)?;
    names::difference(&krate.package.name, &request.ko).iter().for_each(|warning| reporter.warning(warning));
    let library = place.or_discard(compile(&krate, target, &rustflags, &Product::MODULE, reporter))?;
    let digest = library.digest();
    let change = place.change(&krate, target, &digest);
    if change == Change::Nothing && output.exists() && request.header.exists() {
        hook::write(&request.ko, kbuild)?;
        warnings(output)?.iter().for_each(|warning| reporter.warning(warning));
        return Ok(());
    }
    place.discard(change)?;
    let members = library.members()?;
    let manifest = emitted(&members)?;
    if manifest.patch.is_none() {
        return Err(Error::Request {
            message: format!("the crate of {} has no `livepatch!`", request.manifest_path.display()),
            help: "write `livepatch! { license: \"GPL\", … }` at the crate's root".into(),
        });
    }
    let read = headers::files(&manifest);
    let made_of =
        MadeOf { krate: &krate, target, kbuild, manifest: &manifest, headers: read, library: digest };
    place.begin(started, &made_of)?;
    let outcome = check::check(&manifest, target, reporter)?.into_error(&target.kernel.release)?;
    let notes: Vec<String> = outcome.unchecked.iter().chain(&outcome.notes).cloned().collect();
    if !make::is_of_build() {
        notes.iter().for_each(|note| reporter.note(note));
    }
    let symbols = resolve(&manifest.symbols, Language::Rust, target, reporter)?;
    let linked = output.with_extension("o.tmp");
    link(&members, target.kernel.arch(), kbuild, &manifest, &linked)?;
    let data = fs::read(&linked).map_err(Error::io("read", &linked))?;
    let data = linked::adapt(&data, &symbols)?;
    fs::write(&linked, &data).map_err(Error::io("write", &linked))?;
    let file = object::File::parse(&*data).map_err(Error::elf("read the linked object"))?;
    check_tables(&linked, &file, &manifest)?;
    let places = Places::new(&krate, target, &rustflags);
    relocations::check(&file, &target.kernel, &places)?;
    let mut warnings: Vec<String> = outcome.warnings.iter().map(ToString::to_string).collect();
    warnings.extend(frames::check(&target.kernel, &members, &file, &places)?);
    warnings.iter().for_each(|warning| reporter.warning(warning));
    write_lines(&output.with_extension(WARNINGS), &warnings)?;
    write_lines(&output.with_extension(NOTES), &notes)?;
    headers::link(&linked, &manifest, place.module(), &target.kernel)?;
    let data = fs::read(&linked).map_err(Error::io("read", &linked))?;
    let mut words = request.objtool.iter().flat_map(|objtool| objtool.split_whitespace());
    if let Some(program) = words.next() {
        objtool::run(Command::new(program).args(words).arg(&linked))?;
    }
    let digest = format!("{}\n", Digest::of(&data));
    write_if_changed(&output.with_extension("id"), digest.as_bytes())?;
    write_if_changed(&request.header, c_header::of(&manifest, place.module(), target)?.as_bytes())?;
    hook::write(&request.ko, kbuild)?;
    fs::rename(&linked, output).map_err(Error::io("write", output))
}

/// The extension of the file that keeps the warnings of an object, to repeat them when nothing has changed.
const WARNINGS: &str = "warnings";
/// The extension of the file that keeps its notes, which the build prints once for all packages.
const NOTES: &str = "notes";

/// The warnings from when an object was made.
pub(super) fn warnings(object: &Path) -> Result<Vec<String>> {
    lines(object.with_extension(WARNINGS))
}

/// The notes from when an object was made: what was not checked.
pub(super) fn notes(object: &Path) -> Result<Vec<String>> {
    lines(object.with_extension(NOTES))
}

fn write_lines(path: &Path, lines: &[String]) -> Result<()> {
    write_if_changed(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes())
}

/// The lines of a file; none where it is absent.
fn lines(file: PathBuf) -> Result<Vec<String>> {
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(Error::io("read", file))?,
    };
    Ok(text.lines().map(str::to_owned).collect())
}

/// Functions that start code which runs on its own: the engine stops such code (S17).
const STARTERS: [&str; 2] = ["klp_glue_work_schedule", "klp_glue_directory_new"];

/// Whether the Rust half calls one of [`STARTERS`].
fn starts_something(members: &[Vec<u8>]) -> Result<bool> {
    for member in members {
        let file = object::File::parse(&**member).map_err(Error::elf("read the crate's object"))?;
        if STARTERS.iter().any(|name| file.symbol_by_name(name).is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Links the members to one relocatable object, without what nothing refers to.
fn link(members: &[Vec<u8>], arch: &Arch, kbuild: &Path, manifest: &Manifest, output: &Path) -> Result<()> {
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let mut command = Command::new(arch.tool("ld"));
    command.args(["-r", "--gc-sections"]).arg("-o").arg(output);
    for script in ["klp.lds".to_owned(), format!("klp_{}.lds", arch.name)] {
        command.arg("-T").arg(kbuild.join(script));
    }
    // ld wants a root; the tables are roots too.
    command.arg("-u").arg(tables::start(Table::Patch));
    if manifest.needs_engine() || starts_something(members)? {
        command.args(ENGINE_ENTRIES.iter().flat_map(|entry| ["-u", entry]));
    }
    if !manifest.hooks.is_empty() {
        command.args(["-u", "klp_rt_choose"]);
    }
    for param in &manifest.params {
        command.arg("-u").arg(format!("klp_param_{}", param.name));
    }
    command.args(manifest.c_funcs.iter().flat_map(|function| ["-u", &function.name]));
    for (index, member) in members.iter().enumerate() {
        let path = directory.path().join(format!("{index}.o"));
        fs::write(&path, member).map_err(Error::io("write", &path))?;
        command.arg(path);
    }
    run_tool(&mut command)?;
    // Without debug information there are no names of source files either: objtool takes two of them for a sign
    // that it was given a whole module.
    run_tool(Command::new(arch.tool("objcopy")).arg("--strip-debug").arg(output))?;
    Ok(())
}
