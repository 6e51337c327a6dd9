//! What the parts of a module leave undefined: its Rust half, and the C files of the patch.
//!
//! `klp.mk` has `cargo klp symbols` look once all parts are compiled. A name that one part leaves undefined is
//! defined by another, exported by the kernel, or to be found by livepatch: in the Rust half as `#[klp_symbols]`
//! says, in C also without that, where the name is unique in what the patch is for. Anything else is an error here,
//! with its place. What the glue must know of all parts goes into its header.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use klp_format::manifest::{Func, Symbol as SymbolRequest};
use object::{File, Object, ObjectSection, ObjectSymbol, RelocationTarget};

use super::cargo_flags::CargoFlags;
use super::places::Places;
use super::workspace::crate_of;
use super::{flags, glue_header, linked, undefined, write_if_changed};
use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::host::tools::run_tool;
use crate::kernel::debug_info::Lines;
use crate::kernel::symbols::{Object as KernelObject, Symbols, VMLINUX};
use crate::kernel::{Arch, Target};
use crate::patch::manifest::Manifest;
use crate::patch::resolve::{Language, named_in_c, resolve};

/// The parts of a module, and what is made of them.
#[derive(Clone, Debug)]
pub struct Request {
    /// The patch crate's Cargo.toml.
    pub manifest_path: PathBuf,
    /// What the module is built for.
    pub target: Target,
    /// The Rust half.
    pub rust: PathBuf,
    /// The objects of the C files, as Kbuild has compiled them.
    pub c: Vec<PathBuf>,
    /// The object with all of them, their symbols found.
    pub c_output: PathBuf,
    /// The header for the glue.
    pub header: PathBuf,
}

impl Request {
    /// The C file of an object: `klp.mk` calls the object of `src/x.c` MODULE_c_x.o, and the Rust half MODULE_rust.o.
    fn c_file(&self, object: &Path) -> String {
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (rust, stem) = (stem(&self.rust), stem(object));
        let prefix = format!("{}_c_", rust.trim_end_matches("_rust"));
        format!("src/{}.c", stem.strip_prefix(&prefix).unwrap_or(&stem))
    }
}

/// Finds the symbols of all parts.
///
/// # Errors
///
/// All symbols that can't be found, each with its place.
pub fn find(request: &Request, reporter: &dyn Reporter) -> Result<()> {
    let read = |path: &PathBuf| fs::read(path).map_err(Error::io("read", path));
    let (rust, c) = (read(&request.rust)?, request.c.iter().map(read).collect::<Result<Vec<_>>>()?);
    let parse = |data| File::parse(data).map_err(Error::elf("read a part of the module"));
    let rust = parse(&*rust)?;
    let parts = c.iter().map(|data| parse(data)).collect::<Result<Vec<_>>>()?;
    let named = request.c.iter().map(|path| request.c_file(path));
    let c_files: Vec<CFile<'_>> =
        named.zip(&c).zip(&parts).map(|((name, data), file)| CFile { name, data, file }).collect();
    let manifest = Manifest::read(&rust)?;
    let release = &request.target.kernel.release;

    let mut faults: Vec<String> =
        manifest.funcs.iter().filter_map(|func| body_fault(func, &c_files)).collect();
    faults.dedup();
    if !faults.is_empty() {
        return Err(Error::Unfit { release: release.clone(), faults });
    }

    let symbols = Symbols::of(&request.target, reporter)?;
    let defined: BTreeSet<&str> = parts.iter().chain([&rust]).flat_map(definitions).collect();
    let imported = parts.iter().chain([&rust]).map(undefined::imports).collect::<Result<Vec<_>>>()?.concat();
    let imported: BTreeSet<String> = imported.into_iter().collect();
    let unknown = |part| undefined::names(part, &symbols, &defined, &imported);
    let mut faults = rust_faults(request, &symbols, &unknown(&rust));
    let mut adapted = Vec::new();
    let objects = objects(&manifest, &symbols)?;
    for file in &c_files {
        let mut wanted = Vec::new();
        for name in unknown(file.file) {
            match for_c(name, &manifest, &objects, &symbols) {
                Ok(request) => wanted.push(request),
                Err(why) => faults.push(format!("{}: {why}", file.place_of(name))),
            }
        }
        if faults.is_empty() {
            adapted
                .push(linked::adapt(file.data, &resolve(&wanted, Language::C, &request.target, reporter)?)?);
        }
    }
    if !faults.is_empty() {
        return Err(Error::Symbols { release: release.clone(), faults });
    }
    let parts = adapted.iter().map(|data| parse(data)).collect::<Result<Vec<_>>>()?;
    let kernel = glue_header::build_id(&request.target, reporter)?;
    let header = glue_header::start(&request.target, kernel.as_deref())
        + &glue_header::of(&manifest, &rust, &parts)
        + &glue_header::note(&manifest, kernel.as_deref());
    if !adapted.is_empty() {
        link(&adapted, request.target.kernel.arch(), &request.c_output)?;
    }
    write_if_changed(&request.header, header.as_bytes())
}

/// The object of a C file.
struct CFile<'a> {
    /// The file's name.
    name: String,
    data: &'a [u8],
    file: &'a File<'a>,
}

impl CFile<'_> {
    /// Where a name is used first: the line, as far as that is known.
    fn place_of(&self, name: &str) -> String {
        let line = || {
            let lines = Lines::read(self.data).ok()?;
            let symbol = lines.file().symbol_by_name(name)?.index();
            let is_it = |target| target == RelocationTarget::Symbol(symbol);
            let place = lines.file().sections().find_map(|section| {
                let (at, _) = section.relocations().find(|(_, relocation)| is_it(relocation.target()))?;
                lines.place(section.index(), at)
            })?;
            place.rsplit_once(':').map(|(_, line)| format!("{}:{line}", self.name))
        };
        line().unwrap_or_else(|| self.name.clone())
    }
}

/// The names that an object defines for others.
fn definitions<'a>(part: &'a File<'_>) -> impl Iterator<Item = &'a str> {
    part.symbols()
        .filter(|symbol| symbol.is_definition() && symbol.is_global())
        .filter_map(|symbol| symbol.name().ok())
}

/// What is wrong with the body of a replacement whose body is C.
fn body_fault(func: &Func, c_files: &[CFile<'_>]) -> Option<String> {
    let name = func.c_body.as_ref()?;
    let place = func.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
    if c_files.is_empty() {
        return Some(format!(
            "{place}the body of `{name}` is C, and the patch has no C file: write it in a file `src/….c`"
        ));
    }
    let symbols = c_files.iter().flat_map(|file| file.file.symbols().map(move |symbol| (file, symbol)));
    let named: Vec<_> = symbols.filter(|(_, symbol)| symbol.name() == Ok(name)).collect();
    if named.iter().any(|(_, symbol)| symbol.is_definition() && symbol.is_global()) {
        return None;
    }
    if let Some((file, _)) = named.iter().find(|(_, symbol)| symbol.is_definition()) {
        return Some(format!("{place}`{name}` of {} is `static`: leave `static` out", file.name));
    }
    let names: Vec<&str> = c_files.iter().map(|file| &*file.name).collect();
    Some(format!(
        "{place}the body of `{name}` is C, and {} {} not define it",
        names.join(", "),
        if names.len() == 1 { "does" } else { "do" }
    ))
}

/// What is wrong with names that the Rust half leaves undefined.
fn rust_faults(request: &Request, symbols: &Symbols<'_>, names: &[&str]) -> Vec<String> {
    if names.is_empty() {
        return Vec::new();
    }
    let made_of = flags::rustflags(&request.target.kernel)
        .and_then(|flags| Ok((crate_of(&request.manifest_path, CargoFlags::of_environment())?, flags)));
    let places = made_of.as_ref().ok().map(|(krate, flags)| Places::new(krate, &request.target, flags));
    let fault = |name: &&str| {
        let place = places.as_ref().and_then(|places| places.of_use(name));
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        format!("{place}`{name}` {}", undefined::why(symbols, name))
    };
    names.iter().map(fault).collect()
}

/// vmlinux, and the modules that the patch names.
fn objects<'a>(manifest: &Manifest, symbols: &'a Symbols<'_>) -> Result<Vec<KernelObject<'a>>> {
    let funcs = manifest.funcs.iter().map(|func| &*func.object);
    let named = manifest.symbols.iter().map(|symbol| &*symbol.object);
    let own = manifest.objects.iter().map(|object| &*object.name);
    let modules: BTreeSet<&str> = funcs.chain(named).chain(own).filter(|name| *name != VMLINUX).collect();
    // The check of the patch has said it, where this machine lacks a module.
    let modules = modules.into_iter().filter_map(|name| symbols.object(name).ok());
    Ok([symbols.object(VMLINUX)?].into_iter().chain(modules).collect())
}

/// The request for a name that a C file leaves undefined: as the patch declares it in Rust, if it does.
fn for_c(
    name: &str,
    manifest: &Manifest,
    objects: &[KernelObject<'_>],
    symbols: &Symbols<'_>,
) -> std::result::Result<SymbolRequest, String> {
    let declared: BTreeMap<&str, &SymbolRequest> = (manifest.symbols.iter())
        .filter(|symbol| symbol.name == name)
        .map(|symbol| (&*symbol.placeholder, symbol))
        .collect();
    match declared.into_values().collect::<Vec<_>>()[..] {
        [] => {}
        [declared] => return Ok(SymbolRequest { placeholder: name.to_owned(), ..declared.clone() }),
        _ => {
            return Err(format!(
                "`{name}` is the name of several symbols that the patch declares in Rust: give the one that C uses a \
                 name of its own"
            ));
        }
    }
    let by_namespace = || undefined::by_namespace(&symbols.export(name)?);
    if let Some(why) = undefined::by_the_compiler(name).map(str::to_owned).or_else(by_namespace) {
        return Err(format!("`{name}` {why}"));
    }
    named_in_c(name, objects, symbols)
}

/// Links the C files to one object.
fn link(objects: &[Vec<u8>], arch: &Arch, output: &Path) -> Result<()> {
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let linked = directory.path().join("c.o");
    let mut command = Command::new(arch.tool("ld"));
    command.arg("-r").arg("-o").arg(&linked);
    for (index, object) in objects.iter().enumerate() {
        let path = directory.path().join(format!("{index}.o"));
        fs::write(&path, object).map_err(Error::io("write", &path))?;
        command.arg(path);
    }
    run_tool(&mut command)?;
    write_if_changed(output, &fs::read(&linked).map_err(Error::io("read", &linked))?)
}
